"""Note in the history of syncs that one runs, and how far it is."""

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
"""Pause between two notes of how far a sync is."""


@contextmanager
def noted_while_running(opened: Callable[[], History], origin: Origin, names: Sequence[str]) -> Iterator[Progress]:
    """Keep a row for a sync in the history during the block, and give what notes its progress there.

    Whatever goes wrong with that is a line of the log at the level DEBUG: the record at the end says it loudly.

    :param opened: opens the history
    :param names: of the tables and directories
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
    """Progress as notes in the history: the first at once, then every :data:`SECONDS_BETWEEN_NOTES`, until one cannot be written.

    A history in a file of SQLite may be the target itself, whose lock this sync then holds: waiting for it once is enough.

    :param clock: seconds of a clock that never goes back
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
        """Take note of progress; see :class:`~airflow_provider_sync.sync.progress.Progress`."""
        self._amounts.add(name, amount, unit, total)
        # Whoever finds another thread at it goes on with its own work.
        if self._clock() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._names[name] = True
                self._write()
            finally:
                self._lock.release()

    def end(self) -> None:
        """Remove the note."""
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
