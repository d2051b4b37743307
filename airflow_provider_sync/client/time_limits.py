"""The time limits `max_seconds`, of a whole sync, and `max_silence`, of an answer without progress.

The wait for the next piece of an answer is limited by the client's ``timeout``. A server that sends useless pieces from time to
time would never reach that limit, but it reaches these.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from airflow_provider_sync.exceptions import TransportError


class TimeLimits:
    """The time limits that currently hold for all requests of a client; safe to use from several threads.

    :ivar given_up: set, from any thread, when requests are to end
    :ivar locked: set when the server has waited in vain for a table, so that it need not wait as long for others
    """

    def __init__(self) -> None:
        self.given_up = Event()
        self.locked = Event()
        self._running: list[tuple[float, float]] = []

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Limit the total time of all requests inside the block, in seconds; ``None`` sets no limit."""
        if seconds is None:
            yield
            return
        limit = (time.monotonic() + seconds, seconds)
        self._running.append(limit)
        try:
            yield
        finally:
            self._running.remove(limit)

    @property
    def deadline(self) -> float:
        """When the first limit ends, by the monotonic clock."""
        # Read once, since another thread may remove a limit at any time.
        return min(self._running, default=(float("inf"), 0.0))[0]

    @property
    def passed(self) -> bool:
        """Whether a limit has ended."""
        return time.monotonic() >= self.deadline

    def check(self) -> None:
        """Raise when a limit has ended.

        :raises TransportError: with the name of the option
        """
        limit = min(self._running, default=None)
        if limit is not None and time.monotonic() >= limit[0]:
            raise TransportError(
                f"It took longer than the {limit[1]:g} seconds that max_seconds allows. Raise it if the source needs longer."
            )


class RequestTimeLimits:
    """The time limits of one request.

    :param url: the endpoint, for messages
    :param limits: of the client
    :param silence: seconds that may pass without progress
    :param timeout: seconds for all of an answer that is short, or of no use
    """

    def __init__(self, url: str, limits: TimeLimits, silence: float, timeout: float) -> None:
        self._timeout = timeout
        self._url = url
        self._limits = limits
        self._silence = silence
        self._hurried = False
        self.progress()

    def progress(self) -> None:
        """Record progress (rows, digests, or content; keep-alive messages do not count), which restarts `max_silence`."""
        self._silent_until = time.monotonic() + self._silence

    def met_lock(self) -> None:
        """Record that the server has waited in vain for a table."""
        self._limits.locked.set()

    def hurry(self) -> None:
        """Limit the rest of the answer, which is short or of no use, to the timeout."""
        self._silent_until, self._hurried = min(self._silent_until, time.monotonic() + self._timeout), True

    @property
    def deadline(self) -> float:
        """Until when to wait without progress, by the monotonic clock."""
        return min(self._silent_until, self._limits.deadline)

    def check(self) -> None:
        """Raise when the request is not to wait any longer.

        :raises TransportError: when it was given up, or a limit has ended
        """
        given_up = self._limits.given_up.is_set()
        if not given_up and time.monotonic() < self.deadline:
            return
        if given_up:
            raise TransportError(f"The request to {self._url} was given up on this side.")
        self._limits.check()
        if time.monotonic() >= self._silent_until and self._hurried:
            raise TransportError(f"{self._url} did not answer in time. Raise the timeout if the server needs longer.")
        if time.monotonic() >= self._silent_until:
            raise TransportError(
                f"{self._url} sent neither rows nor digests nor files for {self._silence:g} seconds."
                " Raise max_silence if the server needs longer."
            )
