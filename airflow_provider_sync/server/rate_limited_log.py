"""Warnings that somebody else can provoke as often as they like: each is logged now and then, with how often it was meant."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

EVERY_SECONDS = 60.0
"""How long the same warning is kept back after it was logged."""

_MAX_KEYS = 1_000


class RateLimitedLog:
    """Logs warnings, each key once in a while; safe to use from one thread.

    :param clock: monotonic seconds
    """

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self._last: dict[str, tuple[float, int]] = {}

    def warn(self, key: str, message: str, *arguments: object) -> None:
        """Log ``message``, unless the same key was logged shortly before; what was kept back is counted in the next one."""
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
