"""Log warnings that any client can trigger: each at most once a minute, with a count of those left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY_SECONDS = 60.0
"""Seconds after a warning during which the same warning is only counted."""

_MAX_KEYS = 1_000


class RateLimitedLog:
    """Logs each warning at most once in :data:`EVERY_SECONDS`; for use in one thread.

    :param clock: monotonic seconds
    """

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def warn(self, key: str, message: str, *arguments: object) -> None:
        """Log ``message``, unless the same key was logged shortly before; the next line says how many were left out."""
        now = self._clock()
        last, kept_back = self._last.get(key, (None, 0))
        if last is not None and now - last < EVERY_SECONDS:
            self._last[key] = last, kept_back + 1
            return
        if len(self._last) >= _MAX_KEYS:
            self._last.clear()
        self._last[key] = now, 0
        more = f" ({kept_back} more since the last such line)" if kept_back else ""
        self._log.warning("%s%s", message % arguments, more)
