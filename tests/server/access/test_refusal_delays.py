"""The answers to wrong tokens come ever later."""

from __future__ import annotations

import anyio
from starlette.requests import Request

from airflow_provider_sync.server.access.refusal_delays import (
    FORGET_SECONDS,
    FREE_TRIES,
    MAX_DELAY_SECONDS,
    RefusalDelays,
    wait_for_refused,
)


class Clock:
    """A clock that is set by hand."""

    now = 1000.0

    def __call__(self) -> float:
        """Tell the time."""
        return self.now


def test_delays() -> None:
    """The first refusals are not delayed, later ones longer each time up to a limit, and all are forgotten after a while."""
    clock = Clock()
    refusals = RefusalDelays(clock=clock)
    assert [refusals.count("a") for _ in range(FREE_TRIES)] == [0] * FREE_TRIES
    delays = [refusals.count("a") for _ in range(10_000)]
    assert delays[0] > 0
    assert delays == sorted(delays)
    assert delays[-1] == MAX_DELAY_SECONDS
    assert refusals.count("b") == 0
    clock.now += FORGET_SECONDS + 1
    assert refusals.count("a") == 0


def test_bounded_memory() -> None:
    """The number of remembered addresses is limited; the oldest are forgotten first."""
    refusals = RefusalDelays()
    for _ in range(FREE_TRIES + 1):
        last = refusals.count("first")
    assert last > 0
    for number in range(10_000):
        refusals.count(f"address {number}")
    assert refusals.count("first") == 0


def test_waiting() -> None:
    """A refused client waits its time, whatever it sends; the server does not wait for a client that disconnected."""
    messages = ["http.request", "http.request", "http.disconnect"]

    async def receive() -> dict[str, str]:
        if not messages:
            await anyio.sleep_forever()
        return {"type": messages.pop(0)}

    request = Request({"type": "http"}, receive)
    anyio.run(wait_for_refused, request, 3600.0)
    assert messages == []
    anyio.run(wait_for_refused, request, 0.01)
