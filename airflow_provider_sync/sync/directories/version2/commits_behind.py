"""Commit what downloads have completed while they go on, so that they do not wait for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Self

MAX_WAITING = 4
"""Batches that may wait for their names; who completes more waits for the oldest of them.

A kill loses no more than these and what is on its way.
"""


class CommitsBehind:
    """Calls ``commit`` after each batch, in one thread; a context manager, whose end waits for the last call.

    A commit takes whatever is complete at its start. So while the disk is busy with one, the next one grows, and a slow disk is
    asked less often for more.

    :param commit: makes durable and names what is complete; quick if nothing is
    """

    def __init__(self, commit: Callable[[], None]) -> None:
        self._commit = commit
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sync-commit")
        self._waiting: deque[Future[None]] = deque()
        self._lock = Lock()

    def add(self) -> None:
        """Have a batch committed that is complete; may be called from several threads.

        :raises SyncError: when an earlier commit has failed
        """
        with self._lock:
            self._waiting.append(self._pool.submit(self._commit))
            oldest = self._waiting.popleft() if len(self._waiting) > MAX_WAITING else None
        if oldest is not None:
            oldest.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown()
        if kind is None:
            for commit in self._waiting:
                commit.result()
