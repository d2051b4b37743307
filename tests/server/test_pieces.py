"""How much of an answer is sent at once, and how long a client may take for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import pytest

from airflow_provider_sync.config import ServerLimits
from airflow_provider_sync.server.streaming import StreamResponse

SMALL, LARGE = 320 * 1024, 1088 * 1024
BLOCKS = [bytes(LARGE)] * 4


class _Active:
    """A request whose work is done at once."""

    limits = ServerLimits()

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        return work()


class _Client:
    """A client that takes a number of seconds for each piece, by a clock of its own.

    :ivar pieces: the size of each piece
    :ivar allowed: the longest time for each piece, in seconds
    """

    def __init__(self, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = seconds
        self.pieces: list[int] = []
        self.allowed: list[float] = []
        self._now = 0.0
        move_on_after = anyio.move_on_after

        def limited(delay: float) -> Any:
            self.allowed.append(delay)
            return move_on_after(delay)

        monkeypatch.setattr(anyio, "current_time", lambda: self._now)
        monkeypatch.setattr(anyio, "move_on_after", limited)

    def take(self) -> None:
        """Take a whole answer."""
        active: Any = _Active()
        response = StreamResponse(iter(BLOCKS), what="An answer", active=active, at_once=True)
        anyio.run(response._send, self._send)
        assert sum(self.pieces) == sum(map(len, BLOCKS))

    async def _send(self, message: Any) -> None:
        if size := len(message.get("body", b"")):
            self.pieces.append(size)
            self._now += self.seconds


def test_a_client_that_keeps_up_gets_large_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first piece has shown that the client is fast, a message is one piece."""
    client = _Client(0.1, monkeypatch)
    client.take()
    assert client.pieces == [SMALL, LARGE - SMALL, LARGE, LARGE, LARGE]


def test_a_slow_client_gets_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """With small pieces, the server notices a stalled client soon."""
    client = _Client(5, monkeypatch)
    client.take()
    assert max(client.pieces) == SMALL


@pytest.mark.parametrize("seconds", [0.1, 5])
def test_large_pieces_allow_no_longer_stalls(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that stops reading is cut after the time of a small piece, even if it was fast before."""
    client = _Client(seconds, monkeypatch)
    client.take()
    limits = _Active.limits
    assert max(client.allowed) <= limits.stall_seconds + SMALL / limits.min_bytes_per_second
