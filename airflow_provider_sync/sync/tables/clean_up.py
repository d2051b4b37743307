"""Turn errors of the clean-up after a commit into warnings of the report, so that they do not fail the sync."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.printable import reason
from airflow_provider_sync.report import TableReport


class CleanUp:
    """Collects the errors of dropping staging tables.

    :param database: the target's
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._warnings: list[tuple[str, str]] = []

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Turn any error of the block into a warning about the table of this name."""
        try:
            with self._database.translate_errors():
                yield
        except Exception as error:  # noqa: BLE001  # the rows are committed, and every report has the reason
            why = reason(error)
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
