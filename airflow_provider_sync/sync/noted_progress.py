"""Record a running sync and its progress in the history of syncs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock

from airflow_provider_sync.history import History, Origin, RunningNote, Work
from airflow_provider_sync.printable import reason
from airflow_provider_sync.sync.progress import Amounts, Progress, silent

log = logging.getLogger(__name__)

SECONDS_BETWEEN_NOTES = 5.0
"""Minimum time, in seconds, between two writes of a sync's progress."""


@contextmanager
def noted_while_running(opened: Callable[[], History], origin: Origin, names: Sequence[str]) -> Iterator[Progress]:
    """Keep a row for a running sync in the history during the block, and yield the callback that updates its progress.

    Errors of the history are only logged, at level DEBUG: if the history does not work, the final record warns about it.

    :param opened: opens the history
    :param names: names of the tables and directories
    """
    note = _begun(opened, origin)
    if note is None:
        yield silent
        return
    noted = NotedProgress(note, names)
    try:
        yield noted
    finally:
        noted.end()


def _begun(opened: Callable[[], History], origin: Origin) -> RunningNote | None:
    try:
        return opened().running_note(origin).begin()
    except Exception as error:  # noqa: BLE001  # a hook or driver may raise anything, and none of it may fail a sync
        _cannot_note(error)
        return None


class NotedProgress:
    """Writes progress to the history: the first call at once, then every :data:`SECONDS_BETWEEN_NOTES`, until a write fails.

    It gives up after one failure because the history may be in the target's SQLite file, which this sync has locked: each write
    would wait for that lock.

    :param clock: a monotonic clock, in seconds
    """

    def __init__(self, note: RunningNote, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._note = note
        self._clock = clock
        self._amounts = Amounts(clock)
        self._names = dict.fromkeys(names, False)
        self._lock = Lock()
        self._due = 0.0
        self._write()

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Record progress; see :class:`~airflow_provider_sync.sync.progress.Progress`."""
        self._amounts.add(name, amount, unit, total)
        # If another thread is writing, this one does not wait for it.
        if self._clock() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._names[name] = True
                self._write()
            finally:
                self._lock.release()

    def end(self) -> None:
        """Remove the row from the history."""
        with self._lock:
            self._due = float("inf")
            self._tried(self._note.end)

    def _write(self) -> None:
        self._due = self._clock() + SECONDS_BETWEEN_NOTES
        work = [
            Work(name=name, text=self._amounts.text(name), share=self._amounts.share(name)) if begun else Work(name=name)
            for name, begun in self._names.items()
        ]
        self._tried(lambda: self._note.write(work))

    def _tried(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Exception as error:  # noqa: BLE001  # a hook or driver may raise anything, and none of it may fail a sync
            self._due = float("inf")
            _cannot_note(error)


def _cannot_note(error: Exception) -> None:
    log.debug("What runs cannot be noted: %s", reason(error))
