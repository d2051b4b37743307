"""Threads for the pages of the history, apart from those of Airflow's own requests.

Airflow's API server has 40 threads for everything that blocks. Pages that wait for a slow or locked database of the history must
not take them, or Airflow's API and user interface would stop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio.to_thread import run_sync

THREADS = 8
"""Maximum number of pages that are read from the history at a time."""

MAX_WAITING = 32
"""Maximum number of pages that wait for a thread."""

RETRY_SECONDS = 5
"""Seconds after which a refused page may be requested again."""

Result = TypeVar("Result")


class TooManyPagesError(Exception):
    """Too many pages wait for the history already."""


class PageThreads:
    """Runs what a page reads in one of :data:`THREADS` threads; used in one event loop."""

    def __init__(self) -> None:
        self._limiter = anyio.CapacityLimiter(THREADS)
        self._pages = 0

    async def run(self, call: Callable[[], Result]) -> Result:
        """Run ``call`` in a thread, after a wait if none is free.

        :raises TooManyPagesError: if :data:`MAX_WAITING` pages wait already
        """
        if self._pages >= THREADS + MAX_WAITING:
            raise TooManyPagesError
        self._pages += 1
        try:
            return await run_sync(call, limiter=self._limiter)
        finally:
            self._pages -= 1
