"""Clean up without failing the sync or holding it up; staging tables that are left are a warning of the report."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import floor
from time import monotonic

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.cancellation import clean_up_fully
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import TableBusyError
from airflow_provider_sync.printable import reason
from airflow_provider_sync.report import TableReport

FIRST_WAIT = 20
"""Seconds that a clean-up waits for locks of other sessions, such as a backup's, the first time that one is in the way."""

NEXT_WAIT = 1
"""Seconds that it waits for each table after that: either only one table is locked, or all of them are."""

ALL_WAITS = 30
"""Seconds after which a run tries to drop no further table, so that a backup does not hold it up table by table."""


class CleanUpWaits:
    """How long the clean-up of one run may still wait; shared by all of its transactions and attempts."""

    def __init__(self) -> None:
        self._spent = 0.0

    @property
    def seconds(self) -> int:
        """Longest wait of the next statement, in seconds; 0 if no further one may be tried."""
        if not self._spent:
            return FIRST_WAIT
        return min(NEXT_WAIT, floor(max(0.0, ALL_WAITS - self._spent)))

    @contextmanager
    def waiting(self, database: Database) -> Iterator[Database]:
        """Give the database with sessions that wait no longer than this; count the time of the block if it fails.

        :raises TableBusyError: if the run has waited long enough
        """
        if not self.seconds:
            raise TableBusyError(
                f"Locks of other sessions have already held up the clean-up of this run for {ALL_WAITS} seconds."
            )
        started = monotonic()
        try:
            with database.translate_errors():
                yield database.waiting(self.seconds)
        except Exception:
            self._spent += monotonic() - started
            raise


class CleanUp:
    """Drops staging tables, and collects the errors.

    :param database: the target's
    :param waits: of the run
    """

    def __init__(self, database: Database, waits: CleanUpWaits) -> None:
        self._database = database
        self._waits = waits
        self._warnings: list[tuple[str, str]] = []

    def drop(self, name: str, work: Callable[[Connection], None]) -> None:
        """Drop staging tables, completely even if a signal comes; turn any error into a warning.

        :param name: of the table that they belong to
        :param work: drops them over a connection of its own (after a suppressed error, the one that merged may return only
            that error); may be repeated
        """

        def connect_and_work() -> None:
            with self._waits.waiting(self._database) as database, database.connect() as connection:
                work(connection)

        try:
            clean_up_fully(connect_and_work)
        except Exception as error:  # noqa: BLE001  # the rows are committed, and every report has the reason
            why = reason(error).removesuffix(".")
            self._warnings.append(
                (name, f"A staging table of {name!r} could not be dropped: {why}. `airflow-sync clean` drops what is left.")
            )

    def with_warnings(self, reports: Sequence[TableReport]) -> list[TableReport]:
        """Return the reports, each with the warnings about its table."""
        return [
            msgspec.structs.replace(
                report, warnings=(*report.warnings, *(text for name, text in self._warnings if name == report.name))
            )
            for report in reports
        ]
