"""The source of a table as version 2 of the protocol shows it: digests of segments and rows, and any rows by their keys.

::

    plan ◀──▶ compare ──┬─ equal: unchanged
                        ├─ load directly ── :mod:`.first_load`
                        └─ rows to fetch ── :mod:`.stage` ── merge ── :mod:`.verify`

What to ask, how finely to cut and what to fetch is decided in :mod:`.plan`; here it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import partial

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.slices import cut_key_ranges
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError
from airflow_provider_sync.merge.direct_load import can_load_directly
from airflow_provider_sync.merge.staging import refuse_lost_columns
from airflow_provider_sync.merge.transaction import StagedTable
from airflow_provider_sync.protocol.v2.messages import Described, DescribeTable, KeyRange
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.tables.new_foreign_keys import is_unfinished, marked, to_be_finished
from airflow_provider_sync.sync.tables.schema_changes import naming_wider_types
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.table_creation import create_table, planned_phrases
from airflow_provider_sync.sync.tables.table_source import StagingArea, TableSource
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.target_details import (
    MadeTable,
    PlannedDetails,
    ReportedDetails,
    foreign_key_phrase,
    plan_details,
    unique_columns,
    with_unique_parents,
)
from airflow_provider_sync.sync.tables.task_staging import TaskStaging
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from airflow_provider_sync.sync.tables.version2.both_sides import probes_of
from airflow_provider_sync.sync.tables.version2.column_mapping import (
    configured_slice,
    create_statement,
)
from airflow_provider_sync.sync.tables.version2.compare import Findings, compare, first_facts, target_facts
from airflow_provider_sync.sync.tables.version2.compared_segments import Comparison
from airflow_provider_sync.sync.tables.version2.first_load import describe_first, describe_source, first_rows
from airflow_provider_sync.sync.tables.version2.plan import Action
from airflow_provider_sync.sync.tables.version2.small_tables import find_unchanged
from airflow_provider_sync.sync.tables.version2.stage import Stager
from airflow_provider_sync.sync.tables.version2.staged_slices import StagedSlices


class Version2Source(TableSource):
    """The source of a table by version 2."""

    protocol = 2
    proof: Verified = "digest"

    def missing_target(self, options: TargetTable) -> MissingTableError:
        """Return the error for a missing target, with the CREATE TABLE that the source's description makes."""
        statement = create_statement(self.database, options, self._describe(options))
        return MissingTableError(
            f"There is no table {options.table_name!r} in the target database."
            f" Set create_table to have it made, or run:\n{statement}"
        )

    def create_target(
        self, options: TargetTable, run: Mapping[str, TargetTable], described: Described | None = None
    ) -> MadeTable:
        """Make a missing target from the source's description, and return it.

        :param run: the options of all tables of the run, by name
        :param described: the description, where it is known; one with indexes is asked for all the same
        :raises ConfigurationError: if the server cannot tell what ``create_indexes`` asks for
        """
        database = self.database
        with database.connect() as connection:
            source, planned = self._plan(connection, options, run, described)
            to_mark = marked(database, planned)
            created = create_table(
                database,
                connection,
                options.table_name,
                to_mark,
                lambda details: create_statement(database, options, source, details),
            )
        made = to_be_finished(options.name, created.table, source, planned)
        with_table = () if to_mark.unfinished else planned.foreign_keys
        return msgspec.structs.replace(
            made,
            unfinished=to_mark.unfinished,
            made=(*created.made, *map(foreign_key_phrase, with_table)),
            left_out=(*made.left_out, *created.refused),
        )

    def planned_target(self, options: TargetTable, run: Mapping[str, TargetTable]) -> ReportedDetails:
        """Return what a run would give a missing target besides its columns, if the database refused nothing of it.

        :param run: the options of all tables of the run, by name
        """
        with self.database.connect() as connection:
            _, planned = self._plan(connection, options, run)
        made, refused = planned_phrases(self.database, planned)
        return ReportedDetails(
            name=options.name,
            made=(*made, *map(foreign_key_phrase, planned.foreign_keys)),
            left_out=(*planned.left_out, *refused),
        )

    def _plan(
        self,
        connection: Connection,
        options: TargetTable,
        run: Mapping[str, TargetTable],
        described: Described | None = None,
    ) -> tuple[Described, PlannedDetails]:
        """Describe a missing target, and decide what it gets besides its columns.

        :raises ConfigurationError: if the server cannot tell what ``create_indexes`` asks for
        """
        if options.create_indexes:
            self._check_details(options)
        if described is None or options.create_indexes:
            described = self._describe(options, details=options.create_indexes)
        planned = plan_details(self.database, options, described, run)
        if planned.foreign_keys and not self.database.details.adds_foreign_keys:
            planned = with_unique_parents(planned, partial(self._unique_columns, connection, run))
        return described, planned

    def unfinished_target(
        self, options: TargetTable, run: Mapping[str, TargetTable], connection: Connection, table: Table
    ) -> MadeTable | None:
        """Return what is left to do for a target that an earlier run made and did not finish; ``None`` for any other.

        See :mod:`airflow_provider_sync.sync.tables.new_foreign_keys`.

        :param run: the options of all tables of the run, by name
        """
        if not (options.create_table and options.create_indexes and is_unfinished(self.database, connection, table)):
            return None
        self._check_details(options)
        described = self._describe(options, details=True)
        return to_be_finished(options.name, table, described, plan_details(self.database, options, described, run))

    def _unique_columns(self, connection: Connection, run: Mapping[str, TargetTable], name: str) -> Iterator[frozenset[str]]:
        """Yield the sets of columns that identify a row of a table of the run, which may be there or not.

        :param name: of the table in the target's database
        """
        with suppress(MissingTableError), self.database.translate_errors():
            yield from unique_columns(self.database.catalog.describe(connection, name))
            return
        options = next(table for table in run.values() if table.table_name == name)
        described = self._describe(options, details=options.create_indexes)
        names = {column.name: options.renames.get(column.name, column.name) for column in described.columns}
        yield frozenset(names[column] for column in described.key)
        for index in plan_details(self.database, options, described, run).indexes:
            if index.unique:
                yield frozenset(index.columns)

    def describe_missing(self, options: TargetTable, described: Described | None = None) -> Described:
        """Describe a table that a run would make.

        :param described: its description, where it is known
        :raises TableError: when a run could not make it
        """
        described = described or self._describe(options, probes=probes_of(self.client, self.database))
        create_statement(self.database, options, described)
        return described

    def _describe(self, options: TargetTable, *, details: bool = False, probes: Mapping[str, str] | None = None) -> Described:
        request = DescribeTable(
            table_slice=configured_slice(options),
            digests=False,
            probes=dict(probes or {}),
            details=details,
        )
        with self.client.describe_table(request) as answer:
            return answer.described

    def _check_details(self, options: TargetTable) -> None:
        offered = self.client.capabilities()
        if offered is None or not offered.details:
            raise ConfigurationError(
                f"Table {options.name!r}: create_indexes is set, and the server is too old to tell its indexes. Upgrade the"
                " server, or leave create_indexes out."
            )

    def count_rows(self, options: TargetTable) -> int:
        """Count the rows that a run would put into a target that it makes.

        :raises TableError: when a run could not make it
        """
        with self.client.describe_table(DescribeTable(table_slice=configured_slice(options))) as answer:
            create_statement(self.database, options, answer.described)
            return sum(sum(segments.counts) for segments in answer)

    def check(self, target: Target) -> None:
        """See that the source offers the table, and that the target can hold its columns.

        :raises SyncError: when not
        """
        describe_source(self.client, self.database, target)

    def differs(self, target: Target) -> bool:
        """Whether a sync would have something to do, by the digests of segments, and of rows where some stay anyway."""
        findings = compare(self.client, self.database, target, first_facts(self.database, target), plan.plan_check)
        compared = findings.comparison
        return bool((findings.differences.announced if target.mode.keeps_rows else compared.differing) or compared.forgotten)

    def unchanged(self, targets: Sequence[Target]) -> Mapping[str, int]:
        """Compare the small tables in few requests; see :mod:`.small_tables`."""
        return find_unchanged(self.client, self.database, targets)

    def stage(
        self, area: StagingArea, *, resume: bool, direct: bool, asking: Callable[[], AbstractContextManager[None]]
    ) -> StagedRows:
        """Find the rows that differ, and stage those that the source has; load an empty target directly where that is possible.

        :raises SourceChangedError: when the source's columns changed between two answers
        """
        client, database, target = self.client, self.database, area.target
        facts = first_facts(database, target, area.connection, direct=direct, resume=resume)
        if plan.plan_sync(facts).action is Action.DESCRIBE:
            source = describe_first(client, database, target, area.described)
            table_slice = source.table_slice
            facts = msgspec.structs.replace(
                facts,
                source_rows=source.described.rows,
                # A column that is gone may have a default, which only a merge forgets.
                can_load_directly=can_load_directly(target.table, table_slice.columns)
                and not target.gone_columns(table_slice.column_names, protocol=2),
            )
            if plan.plan_sync(facts).action is Action.LOAD_DIRECTLY:
                return first_rows(client, database, target, source, area.on_rows, asking)
        findings = compare(client, database, target, facts, plan.plan_sync)
        if findings.is_equal:
            return self.equal_rows(target, rows=findings.comparison.source_rows, warnings=findings.comparison.warnings)
        with naming_wider_types(database, target, findings.comparison.described):
            return self._stager(area, findings).stage()

    def compare(self, target: Target, run: str, slices: int) -> ComparedTable:
        """Compare segments; where some differ, make the staging tables, and cut the keys into ranges."""
        facts = target_facts(target)
        findings = repeated(self.client, lambda: compare(self.client, self.database, target, facts, plan.plan_division))
        compared, whole = findings.comparison, findings.step.send_all
        if findings.is_equal:
            return self.compared(target, [], rows=compared.source_rows, warnings=compared.warnings)
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
        staging, layout = TaskStaging(self.database, run), compared.staging_layout
        with self.database.connect() as connection:
            staging.rows.create(connection, layout)
            staging.removed.create(connection, layout.keys)

    def stage_slice(self, area: StagingArea, planned: PlannedSlice) -> StagedSlice:
        """Compare one slice again, and stage what the merge needs, of an equal slice, too.

        What an earlier attempt left and is still right stays.
        """
        next_step = partial(plan.plan_slice, send_all=planned.whole)
        findings = compare(self.client, self.database, area.target, first_facts(self.database, area.target), next_step)
        with naming_wider_types(self.database, area.target, findings.comparison.described):
            fetched = self._stager(area, findings).stage()
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
            forgets=bool(fetched.compared.forgotten),
            received=fetched.rows_received,
            rows=sum(segment.rows for segment in segments),
            algorithm=fetched.compared.table_slice.digest,
            digest=sum(segment.sum for segment in segments) % 2**64,
            by_key=expected is None,
            proven=fetched.proven,
            warnings=fetched.warnings,
        )

    def _stager(self, area: StagingArea, findings: Findings) -> Stager:
        return Stager(
            self.client, self.database, area.connection, findings, area.rows, removed=area.removed, on_rows=area.on_rows
        )

    def staged_rows(self, target: Target, staged: StagedTable, slices: Sequence[StagedSlice]) -> StagedRows:
        """Return what other tasks have staged, with the source's columns as they are now."""
        table_slice = describe_source(self.client, self.database, target).table_slice
        refuse_lost_columns(target.table, staged.staging, table_slice.column_names)
        return StagedSlices(self.client, self.database, target, table_slice, staged, slices)


def _key_ranges(compared: Comparison, slices: int, *, whole: bool) -> Iterable[tuple[KeyRange | None, int]]:
    """Cut what is to be compared or fetched into key ranges of about the same number of rows."""
    rows = compared.rows_in(compared.numbers if whole else compared.differing)
    total = sum(rows.values())
    tasks = batch_sizes.task_count(total, slices, compared.partitioning.scheme)
    return [(None, total)] if tasks == 1 else cut_key_ranges(compared.partitioning, rows, tasks, whole=whole)
