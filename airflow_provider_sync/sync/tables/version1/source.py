"""The source of a table in protocol version 1: one hash for the whole table, and all rows or none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import msgspec

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.exceptions import MissingTableError, ServerError
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.table_source import StagingArea, TableSource
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version1.column_mapping import map_sent_columns
from airflow_provider_sync.sync.tables.version1.download import download, refuse_window
from airflow_provider_sync.sync.tables.version1.guessed_table import describe_missing
from airflow_provider_sync.sync.tables.version1.hashes import compare_hashes
from airflow_provider_sync.sync.tables.version1.whole_table import WholeTable


class Version1Source(TableSource):
    """The source of a table by version 1."""

    protocol = 1
    proof: Verified = "hash"

    def missing_target(self, options: TargetTable, missing: MissingTableError) -> MissingTableError:
        """Return the error for a missing target, with a CREATE TABLE guessed from the source's first rows."""
        return describe_missing(self.client, self.database, options, missing)

    def check(self, target: Target) -> None:
        """Check that the source offers the table, and that the target has its columns.

        :raises SyncError: when a check fails
        """
        answer = self.client.get_table(target.name)
        if answer is not None:
            with answer:
                if next(iter(answer), []):
                    map_sent_columns(target, answer.columns)

    def differs(self, target: Target) -> bool:
        """Tell whether the hashes of source and target differ.

        :raises ServerError: if the source cannot hash the table
        :raises ConfigurationError: if there is a window
        """
        refuse_window(target.options)
        return compare_hashes(self.client, self.database, target).differs

    def stage(
        self, area: StagingArea, *, resume: bool, direct: bool, asking: Callable[[], AbstractContextManager[None]]
    ) -> StagedRows:
        """Request the rows with the target's hash, and stage the response.

        Nothing is resumed, since it is unknown which rows of a failed attempt are still correct. Nothing is loaded directly,
        since the rows can be checked only by comparing them with the target.
        """
        return download(self.client, self.database, area)

    def compare(self, target: Target, run_id: str, slices: int) -> ComparedTable:
        """Compare hashes; a table that differs, or that the source cannot hash, becomes one slice."""
        refuse_window(target.options)
        planned = PlannedSlice(table=target.name, run_id=run_id, protocol=1, whole=True)
        try:
            hashes = compare_hashes(self.client, self.database, target)
        except ServerError as error:
            if error.status not in (422, 500):
                raise
            # Other faults show when the rows are requested.
            return self.compared(target, [planned], rows=0)
        if hashes.differs:
            return self.compared(target, [msgspec.structs.replace(planned, source_hash=hashes.source_hash)], rows=0)
        with self.database.connect() as connection:
            rows = self.database.reader.count(connection, target.table)
        return self.compared(target, [], rows=rows, warnings=hashes.warnings)

    def stage_slice(self, area: StagingArea, planned: PlannedSlice) -> StagedSlice:
        """Stage the whole table."""
        area.removed.clear(area.connection, area.target.table)
        downloaded = download(self.client, self.database, area, known_hash=planned.source_hash)
        return downloaded.as_slice(area.connection, planned.run_id)

    def staged_rows(self, target: Target, staged: StagedTable, slices: Sequence[StagedSlice]) -> StagedRows:
        """Return the rows that another task has staged; the one slice is the whole table."""
        return WholeTable.of_slice(self.client, self.database, target, staged, slices[0])
