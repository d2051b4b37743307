"""Show a task among what runs now, while it syncs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import TypeVar

from airflow.providers.common.compat.sdk import Context

from airflow_provider_sync.airflow_support.task_history import open_airflow_history, origin_of
from airflow_provider_sync.history import RunningNote, Work
from airflow_provider_sync.printable import reason
from airflow_provider_sync.sync.progress import Amounts, Progress, silent

log = logging.getLogger(__name__)

T = TypeVar("T")

SECONDS_BETWEEN_NOTES = 5.0
"""Pause between two notes of how far a task is."""


@contextmanager
def shown_while_running(context: Context, names: Sequence[str], *, group: str | None = None) -> Iterator[Progress]:
    """Keep a row for the task in the history of syncs during the block, and give what notes its progress there.

    Whatever goes wrong with that is a line of the log at the level DEBUG: the record at the end says it loudly.

    :param names: of the tables and directories
    :param group: id of the task group whose tasks are the steps of one sync
    """
    origin = origin_of(context, group=group)
    if origin is None:
        yield silent
        return
    note = _tried(lambda: open_airflow_history().running_note(origin).begin())
    if note is None:
        yield silent
        return
    noted = NotedProgress(note, names)
    try:
        yield noted
    finally:
        noted.end()


class NotedProgress:
    """Progress as notes in the history; the first at once, then every :data:`SECONDS_BETWEEN_NOTES`.

    :param clock: seconds of a clock that never goes back
    """

    def __init__(self, note: RunningNote, names: Sequence[str], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._note: RunningNote | None = note
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
            note, self._note = self._note, None
            if note is not None:
                _tried(note.end)

    def _write(self) -> None:
        self._due = self._clock() + SECONDS_BETWEEN_NOTES
        if (note := self._note) is None:
            return
        work = [
            Work(name=name, text=self._amounts.text(name), share=self._amounts.share(name)) if begun else Work(name=name)
            for name, begun in self._names.items()
        ]
        _tried(lambda: note.write(work))


def _tried(step: Callable[[], T]) -> T | None:
    try:
        return step()
    except Exception as error:  # noqa: BLE001  # a hook or driver may raise anything, and none of it may fail a sync
        log.debug("What runs cannot be noted: %s", reason(error))
        return None
