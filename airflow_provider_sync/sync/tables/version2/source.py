"""The source of a table in protocol version 2: digests of segments and rows, and rows by key.

::

    plan ◀──▶ compare ──┬─ equal: unchanged
                        ├─ load directly ── :mod:`.first_load`
                        └─ rows to fetch ── :mod:`.stage` ── merge ── :mod:`.verify`

:mod:`.plan` decides what to request, how finely to cut and which rows to fetch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from functools import partial

import msgspec

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.partitioning import cut_key_ranges
from airflow_provider_sync.databases.table_slice import SegmentDigest
from airflow_provider_sync.exceptions import MissingTableError
from airflow_provider_sync.merge.direct_load import can_load_directly
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.merge.staging import refuse_lost_columns
from airflow_provider_sync.protocol.v2.messages import KeyRange
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.tables.new_target.description import NewTarget
from airflow_provider_sync.sync.tables.schema_changes import naming_wider_types
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.table_source import StagingArea, TableSource
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.task_staging import TaskStaging
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.first_load import describe_first, describe_source, first_rows
from airflow_provider_sync.sync.tables.version2.follow_plan import Findings, first_facts, follow_plan, target_facts
from airflow_provider_sync.sync.tables.version2.plan import Action
from airflow_provider_sync.sync.tables.version2.stage import Stager
from airflow_provider_sync.sync.tables.version2.staged_slices import StagedSlices


class Version2Source(TableSource):
    """The source of a table by version 2."""

    protocol = 2
    proof: Verified = "digest"

    def missing_target(self, options: TargetTable, missing: MissingTableError) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE derived from the source's description."""
        statement = NewTarget(self.client, self.database, options).statement()
        return MissingTableError(missing.args[0], f"Set create_table to have it made, or run:\n{statement}")

    def check(self, target: Target) -> None:
        """Check that the source offers the table, and that the target can hold its columns.

        :raises SyncError: if a check fails
        """
        describe_source(self.client, self.database, target)

    def differs(self, target: Target) -> bool:
        """Tell whether a sync would change anything, by the digests of segments, and of rows if the mode keeps some."""
        with self.database.connect() as connection:
            facts = first_facts(self.database, target, connection)
        findings = follow_plan(self.client, self.database, target, facts, plan.plan_check)
        compared = findings.compared
        return bool((findings.differences.announced if target.mode.keeps_rows else compared.differing) or compared.forgotten)

    def stage(
        self, area: StagingArea, *, resume: bool, direct: bool, asking: Callable[[], AbstractContextManager[None]]
    ) -> StagedRows:
        """Find the rows that differ, and stage those that the source has; load an empty target directly if possible.

        :raises SourceChangedError: if the source's columns changed between two responses
        """
        client, database, target = self.client, self.database, area.target
        facts = first_facts(database, target, area.connection, direct=direct, resume=resume)
        if plan.plan_sync(facts).action is Action.DESCRIBE:
            source = describe_first(client, database, target, area.described)
            table_slice = source.table_slice
            facts = msgspec.structs.replace(
                facts,
                source_rows=source.described.rows,
                # A column that the source no longer has may have a default, which only a merge sets to NULL.
                can_load_directly=can_load_directly(target.table, table_slice.columns)
                and not target.gone_columns(table_slice.column_names, protocol=2),
            )
            if plan.plan_sync(facts).action is Action.LOAD_DIRECTLY:
                return first_rows(client, database, target, source, area.on_rows, asking)
        findings = follow_plan(client, database, target, facts, plan.plan_sync)
        if findings.is_equal:
            return self.equal_rows(target, rows=findings.compared.source_rows, warnings=findings.compared.warnings)
        with naming_wider_types(database, target, findings.compared.described):
            return self._stager(area, findings).stage()

    def compare(self, target: Target, run_id: str, slices: int) -> ComparedTable:
        """Compare segments; if some differ, create the staging tables, and divide the keys into ranges."""
        facts = target_facts(target)
        findings = repeated(self.client, lambda: follow_plan(self.client, self.database, target, facts, plan.plan_division))
        compared, whole = findings.compared, findings.step.send_all
        if findings.is_equal:
            return self.compared(target, [], rows=compared.source_rows, warnings=compared.warnings)
        self._make_staging(compared, run_id)
        planned = [
            PlannedSlice(
                table=target.name,
                run_id=run_id,
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

    def _make_staging(self, compared: ComparedSegments, run_id: str) -> None:
        staging, layout = TaskStaging(self.database, run_id, compared.target.name), compared.staging_layout
        with self.database.connect() as connection:
            staging.rows.create(connection, layout)
            staging.removed.create(connection, layout.keys)

    def stage_slice(self, area: StagingArea, planned: PlannedSlice) -> StagedSlice:
        """Compare one slice again, and stage the rows that the merge needs, even if the slice is now equal.

        Rows that an earlier attempt staged are kept if they are still correct.
        """
        next_step = partial(plan.plan_slice, send_all=planned.whole)
        facts = first_facts(self.database, area.target, area.connection)
        findings = follow_plan(self.client, self.database, area.target, facts, next_step)
        with naming_wider_types(self.database, area.target, findings.compared.described):
            fetched = self._stager(area, findings).stage()
        expected = fetched.expected(area.connection)
        source = SegmentDigest.together(fetched.compared.source_segments.values())
        target = source if expected is None else SegmentDigest.together(expected.values())
        return StagedSlice(
            table=planned.table,
            run_id=planned.run_id,
            protocol=2,
            key_range=planned.key_range,
            source_rows=planned.source_rows,
            target_rows=planned.target_rows,
            whole=fetched.whole,
            staged=fetched.rows_staged,
            removed=fetched.deleted_rows,
            forgets=bool(fetched.compared.forgotten),
            received=fetched.rows_received,
            rows=target.rows,
            algorithm=fetched.compared.table_slice.digest,
            digest=target.sum,
            source_digest=source.sum,
            by_key=expected is None,
            proven=fetched.proven,
            warnings=fetched.warnings,
        )

    def _stager(self, area: StagingArea, findings: Findings) -> Stager:
        return Stager(
            self.client, self.database, area.connection, findings, area.rows, removed=area.removed, on_rows=area.on_rows
        )

    def staged_rows(self, target: Target, staged: StagedTable, slices: Sequence[StagedSlice]) -> StagedRows:
        """Return the rows that other tasks have staged, with the source's current columns."""
        table_slice = describe_source(self.client, self.database, target).table_slice
        refuse_lost_columns(target.table, staged.staging, table_slice.column_names)
        return StagedSlices(self.client, self.database, target, table_slice, staged, slices)


def _key_ranges(compared: ComparedSegments, slices: int, *, whole: bool) -> Iterable[tuple[KeyRange | None, int]]:
    """Divide the rows to compare or fetch into key ranges with about the same number of rows."""
    rows = compared.rows_in(compared.numbers if whole else compared.differing)
    total = sum(rows.values())
    tasks = batch_sizes.task_count(total, slices, compared.partitioning.scheme)
    return [(None, total)] if tasks == 1 else cut_key_ranges(compared.partitioning, rows, tasks, whole=whole)
