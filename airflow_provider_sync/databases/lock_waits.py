"""Let a run, or a request about many tables, wait once for locks of other sessions, not once for each table.

What locks one table, such as a backup, a restore or a LOCK TABLES, probably locks the next ones, too, and for as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import LockTimeoutError, SyncError, TableBusyError
from airflow_provider_sync.protocol.lock_wait import BRIEF_WAIT

CLEAN_UP_WAIT = 20
"""Seconds that a clean-up waits for locks the first time that one is in the way."""

ALL_CLEAN_UP_WAITS = 30
"""Seconds of waiting in vain after which a run tries to drop no further table."""


class LockWaits:
    """How long one run, or one request, may still wait for locks in one database; a run's transactions and attempts share it.

    :param first: longest first wait, in seconds; ``None`` for the limit of the engine
    :param most: seconds of waiting in vain after which nothing more is tried
    """

    def __init__(self, *, first: int | None = None, most: float = inf) -> None:
        self._first = first
        self._most = most
        self._in_vain = 0.0

    @classmethod
    def of_clean_up(cls) -> LockWaits:
        """Return the waits for dropping tables, which must not hold up a run whose rows are committed."""
        return cls(first=CLEAN_UP_WAIT, most=ALL_CLEAN_UP_WAITS)

    @contextmanager
    def waiting(self, database: Database) -> Iterator[Database]:
        """Give the database with sessions that wait briefly if an earlier block timed out; note whether this block does.

        :raises TableBusyError: if the run has waited long enough
        """
        if self._in_vain >= self._most:
            raise TableBusyError(f"Locks of other sessions have already held up this run for {self._most:g} seconds.")
        seconds = BRIEF_WAIT if self._in_vain else self._first
        started = monotonic()
        try:
            yield database if seconds is None else database.waiting(seconds)
        except SyncError as error:
            if any(isinstance(failure, LockTimeoutError) for failure in error.failures):
                self._in_vain += monotonic() - started
            raise
