"""Clean up without failing the sync or holding it up; staging tables that are left are a warning of the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.cancellation import clean_up_fully
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.printable import reason
from airflow_provider_sync.report import TableReport


class CleanUp:
    """Drops staging tables, and collects the errors.

    :param database: the target's
    :param waits: the clean-up's waits for locks in this run
    """

    def __init__(self, database: Database, waits: LockWaits) -> None:
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
