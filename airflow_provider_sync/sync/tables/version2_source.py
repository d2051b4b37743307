"""The source of a table as version 2 of the protocol shows it: digests of segments and rows, and any rows by their keys."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.slices import cut
from airflow_provider_sync.exceptions import MissingTableError
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.protocol.v2.messages import DescribeTable, KeyRange
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.tables import version2
from airflow_provider_sync.sync.tables.both_sides import Comparison
from airflow_provider_sync.sync.tables.column_mapping import land, requested_slice_for
from airflow_provider_sync.sync.tables.plan import task_count
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.staged_slices import StagedSlices
from airflow_provider_sync.sync.tables.table_source import StagingArea, TableSource
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.task_staging import TaskStaging


class Version2Source(TableSource):
    """The source of a table by version 2."""

    protocol = 2
    proof: Verified = "digest"

    def missing_target(self, options: TargetTable) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE that the source's description makes."""
        return version2.missing(self.client, self.database, options)

    def check(self, target: Target) -> None:
        """See that the source offers the table, and that the target can hold its columns.

        :raises SyncError: when not
        """
        version2.check(self.client, self.database, target)

    def differs(self, target: Target) -> bool:
        """Whether the digests of the segments of source and target differ; no row is asked for."""
        return version2.differs(self.client, self.database, target)

    def stage(
        self, area: StagingArea, *, resume: bool, direct: bool, asking: Callable[[], AbstractContextManager[None]]
    ) -> StagedRows:
        """Find the rows that differ, and stage those that the source has; load an empty target directly where that is possible.

        :raises SourceChangedError: when the source's columns changed between two answers
        """
        return version2.download(
            self.client,
            self.database,
            area.connection,
            area.target,
            area.rows,
            on_rows=area.on_rows,
            asking=asking,
            resume=resume,
            direct=direct,
        )

    def compare(self, target: Target, run: str, slices: int) -> ComparedTable:
        """Compare segments; where some differ, make the staging tables, and cut the keys into ranges."""
        findings = repeated(self.client, lambda: version2.divide(self.client, self.database, target))
        compared, whole = findings.comparison, findings.step.send_all
        if not compared.differing:
            return self.compared(target, [], rows=compared.source_rows)
        self._make_staging(compared, run)
        planned = [
            PlannedSlice(
                table=target.name,
                run=run,
                protocol=2,
                key_range=key_range,
                rows=rows,
                whole=whole,
                source_rows=compared.source_rows,
                target_rows=compared.target_rows,
            )
            for key_range, rows in _key_ranges(compared, slices, whole=bool(whole))
        ]
        return self.compared(target, planned, rows=compared.source_rows)

    def _make_staging(self, compared: Comparison, run: str) -> None:
        staging, target = TaskStaging(self.database, run), compared.target
        columns = [column.column for column in compared.table_slice.columns]
        key = [column.column for column in compared.table_slice.key]
        names = [column.name for column in key]
        with self.database.connect() as connection:
            staging.rows.create(connection, target.table, columns, primary_key=names, indexes=target.options.import_indexes)
            staging.removed.create(connection, target.table, key, primary_key=names)

    def stage_slice(self, area: StagingArea, planned: PlannedSlice) -> StagedSlice:
        """Compare one slice again, and stage what the merge needs; what an earlier attempt left and is still right stays."""
        fetched = version2.download_slice(
            self.client,
            self.database,
            area.connection,
            area.target,
            area.rows,
            area.removed,
            send_all=planned.whole,
            on_rows=area.on_rows,
        )
        expected = fetched.expected(area.connection)
        segments = (fetched.compared.source_segments if expected is None else expected).values()
        return StagedSlice(
            table=planned.table,
            run=planned.run,
            protocol=2,
            key_range=planned.key_range,
            source_rows=planned.source_rows,
            target_rows=planned.target_rows,
            whole=fetched.whole,
            staged=fetched.rows_staged,
            removed=fetched.deleted_rows,
            received=fetched.rows_received,
            rows=sum(segment.rows for segment in segments),
            algorithm=fetched.compared.table_slice.digest,
            digest=sum(segment.sum for segment in segments) % 2**64,
            by_key=expected is None,
            proven=fetched.proven,
            warnings=fetched.warnings,
        )

    def staged_rows(self, target: Target, staged: StagedTable, slices: Sequence[StagedSlice]) -> StagedRows:
        """Return what other tasks have staged, with the source's columns as they are now."""
        with self.client.describe_table(DescribeTable(table_slice=requested_slice_for(target), digests=False)) as answer:
            table_slice = land(self.database, target, answer.described)
        return StagedSlices(self.client, self.database, target, table_slice, staged, slices)


def _key_ranges(compared: Comparison, slices: int, *, whole: bool) -> Iterable[tuple[KeyRange | None, int]]:
    """Cut what is to be compared or fetched into key ranges of about the same number of rows."""
    rows = compared.rows_in(compared.numbers if whole else compared.differing)
    total = sum(rows.values())
    tasks = task_count(total, slices, compared.partitioning.scheme)
    return [(None, total)] if tasks == 1 else cut(compared.partitioning, rows, tasks, whole=whole)
