"""How long a client waits: for a whole sync, and for progress within an answer.

How long it waits for the next piece of an answer is the client's ``timeout``. A server that sends a piece from time to time, and
nothing of use in it, would never meet that limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

from airflow_provider_sync.exceptions import TransportError


class TimeLimits:
    """The time limits that hold at present for everything that a client asks; several threads may ask.

    :ivar given_up: set, from any thread, when nobody waits for answers any more
    """

    def __init__(self) -> None:
        self.given_up = Event()
        self._running: list[tuple[float, float]] = []

    @contextmanager
    def within(self, seconds: float | None) -> Iterator[None]:
        """Have everything that is asked within the block end after so many seconds; ``None`` sets no limit."""
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
        """When the first of the limits runs out, as the monotonic clock has it."""
        # One look, since another thread may end a limit meanwhile.
        return min(self._running, default=(float("inf"), 0.0))[0]

    @property
    def passed(self) -> bool:
        """Whether one of them has run out."""
        return time.monotonic() >= self.deadline

    def check(self) -> None:
        """Refuse to go on when a limit has run out.

        :raises TransportError: naming the option
        """
        limit = min(self._running, default=None)
        if limit is not None and time.monotonic() >= limit[0]:
            raise TransportError(
                f"It took longer than the {limit[1]:g} seconds that max_seconds allows. Raise it if the source needs longer."
            )


class RequestTimeLimits:
    """How long one request waits.

    :param url: the endpoint, for messages
    :param limits: those of the client
    :param silence: seconds that may pass without progress
    """

    def __init__(self, url: str, limits: TimeLimits, silence: float) -> None:
        self._url = url
        self._limits = limits
        self._silence = silence
        self.progress()

    def progress(self) -> None:
        """Record progress (rows, digests, content, but no sign of life), which restarts the limit of silence."""
        self._silent_until = time.monotonic() + self._silence

    @property
    def deadline(self) -> float:
        """Until when to wait, as the monotonic clock has it, unless there is progress."""
        return min(self._silent_until, self._limits.deadline)

    def check(self) -> None:
        """Refuse to wait any longer.

        :raises TransportError: when the request was given up, or a limit has run out
        """
        given_up = self._limits.given_up.is_set()
        if not given_up and time.monotonic() < self.deadline:
            return
        if given_up:
            raise TransportError(f"The request to {self._url} was given up on this side.")
        self._limits.check()
        if time.monotonic() >= self._silent_until:
            raise TransportError(
                f"{self._url} sent neither rows nor digests nor files for {self._silence:g} seconds."
                " Raise max_silence if the server needs longer."
            )
