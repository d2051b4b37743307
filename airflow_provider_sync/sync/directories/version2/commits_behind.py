"""Commit completed downloads in the background, so that other downloads do not wait for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Self

MAX_WAITING = 4
"""Maximum number of batches waiting for a commit; a thread that completes another one waits for the oldest.

A kill loses at most these batches and the unfinished ones.
"""


class CommitsBehind:
    """Calls ``commit`` after each batch, in one thread; a context manager that waits for the last call at its end.

    A commit takes all files that are complete at its start. So a slow disk gets fewer and larger commits.

    :param commit: makes complete files durable and moves them to their names; quick if there are none
    """

    def __init__(self, commit: Callable[[], None]) -> None:
        self._commit = commit
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="sync-commit")
        self._waiting: deque[Future[None]] = deque()
        self._lock = Lock()

    def add(self) -> None:
        """Schedule a commit for a complete batch; may be called from several threads.

        :raises SyncError: if an earlier commit has failed
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
