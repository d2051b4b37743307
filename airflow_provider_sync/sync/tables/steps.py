"""Sync a table in three steps, which may be tasks on different machines: compare, stage slices, merge.

::

    compare ── makes the staging tables, cuts ──┬─ stage keys 1 to 900   ─┬── merge ── verify ── commit ── drop staging
                                                ├─ stage keys 901 to 2000 ┤
                                                └─ …                      ┘

The steps share small JSON values and staging tables in the target's database. All slices use the same staging tables, since their
keys are disjoint. Each slice is a sync of its own key range, so a step asks the source again for what it needs to know.
:mod:`.pipeline` does the same in one task.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial, wraps
from typing import Concatenate, ParamSpec, TypeVar

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.exceptions import ConfigurationError, MissingTableError
from airflow_provider_sync.merge.staging import PERMANENT
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.attempts import Attempts, source_changed
from airflow_provider_sync.sync.other_connections import OtherTables, with_tables_here
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.progress import Progress, row_progress, silent
from airflow_provider_sync.sync.tables.altered_target import noticing_alterations
from airflow_provider_sync.sync.tables.apply_schema_changes import altered, following_source, narrowed
from airflow_provider_sync.sync.tables.clean_up import CleanUp
from airflow_provider_sync.sync.tables.failures import failed_reports, try_each
from airflow_provider_sync.sync.tables.guarded_merge import TableToMerge, merge_guarded
from airflow_provider_sync.sync.tables.merged_before import staged_again, with_merged_before
from airflow_provider_sync.sync.tables.missing_target import find_target, made_target, present_target, unfinished_target
from airflow_provider_sync.sync.tables.negotiated_source import source_of
from airflow_provider_sync.sync.tables.new_target.details import MadeTable
from airflow_provider_sync.sync.tables.new_target.foreign_keys import add_foreign_keys
from airflow_provider_sync.sync.tables.schema_changes import SchemaChanges
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.table_source import StagingArea, TableSource
from airflow_provider_sync.sync.tables.target import Target, with_row_security
from airflow_provider_sync.sync.tables.task_staging import TaskStaging
from airflow_provider_sync.sync.tables.transaction_groups import in_order, transaction_groups
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT, within_max_seconds
from airflow_provider_sync.sync.traffic import Measure

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def _naming_its_table(
    step: Callable[Concatenate[SyncClient, TargetTable, Arguments], Result],
) -> Callable[Concatenate[SyncClient, TargetTable, Arguments], Result]:
    """Prefix errors of a step with the table's name, since a task of a mapped step has no report that names it."""

    @wraps(step)
    def named(client: SyncClient, options: TargetTable, /, *arguments: Arguments.args, **keywords: Arguments.kwargs) -> Result:
        with naming_table(options.name, connections=True):
            return step(client, options, *arguments, **keywords)

    return named


@_naming_its_table
@within_max_seconds
def compare_table(
    client: SyncClient,
    options: TargetTable,
    database: Database,
    *,
    run_id: str,
    slices: int = 1,
    dry_run: bool = False,
    equal_rows: int | None = None,
    described: Described | None = None,
    tables: Mapping[str, TargetTable] | None = None,
    clean_up_waits: LockWaits | None = None,
) -> ComparedTable:
    """Compare a table with the source, and divide the rows to stage into slices; create a missing target if that is allowed.

    :param run_id: unique id of this run; the same for each attempt
    :param slices: maximum number of slices; small tables get fewer, and a table whose key is not a single integer gets one
    :param dry_run: do not create a missing target
    :param equal_rows: number of rows if the table was already found equal; ``None`` to compare it
    :param described: the source's description of a table to create, if known
    :param tables: the options of all tables of the run, by name, to which foreign keys of a new target may refer; the caller
        adds the foreign keys once all tables exist
    :param clean_up_waits: the clean-up's waits for locks in this run; ``None`` if this is its only table
    :raises MissingTableError: if the target is missing, and the options do not allow creating it
    :raises ConfigurationError: if other tasks could not reach the staging table
    """
    if options.staging != PERMANENT:
        raise ConfigurationError(
            f"Table {options.name!r}: staging is {options.staging!r}, which other tasks cannot find. Leave it out for the steps."
        )
    measure = Measure(client)
    database = with_row_security(database, [options])
    database.require_session()
    # Without a dry run, creating the target shows whether it can be created.
    target = find_target(client, database, options, check=dry_run)
    if target is not None:
        target.check_rollback()
        adapt = narrowed if dry_run else _altered_under_lock
        compared = _compare(client, database, target, measure, run_id, slices, adapt=adapt, equal_rows=equal_rows)
        with database.connect() as connection:
            unfinished = unfinished_target(client, database, options, tables or {options.name: options}, connection, target.table)
        return msgspec.structs.replace(compared, made=unfinished)
    if dry_run:
        raise MissingTableError(
            f"There is no table {options.table_name!r} yet. A run makes it; a dry run in steps has nowhere to stage rows."
            " Take TableSyncOperator for it, whose dry run stages none for such a table."
        )
    details: MadeTable | None = None
    with database.exclusive([options.table_name], timeout=LOCK_TIMEOUT) as lock, ExitStack() as made:
        # Another process may have created the table while this one waited for the lock.
        if find_target(client, database, options, check=False) is None:
            run_tables = tables or {options.name: options}
            waits = clean_up_waits or LockWaits.of_clean_up()
            details = made.enter_context(
                made_target(client, database, options, lock, run_tables, described, clean_up_waits=waits)
            )
        target = present_target(client, database, options)
        compared = _compare(client, database, target, measure, run_id, slices, adapt=altered)
        return msgspec.structs.replace(compared, made=details)


def _compare(
    client: SyncClient,
    database: Database,
    target: Target,
    measure: Measure,
    run_id: str,
    slices: int,
    *,
    adapt: Callable[[Database, Target, SchemaChanges], Target],
    equal_rows: int | None = None,
) -> ComparedTable:
    with database.connect() as connection:
        for staging in TaskStaging(database, run_id, target.name).both:
            staging.clear(connection, target.table)
    source = source_of(client, database)
    if equal_rows is not None:
        return source.compared(target, [], rows=equal_rows).costing(measure.so_far())
    compared = following_source(target, partial(adapt, database), lambda found: source.compare(found, run_id, slices))
    return compared.costing(measure.so_far())


def _altered_under_lock(database: Database, target: Target, changes: SchemaChanges) -> Target:
    with database.exclusive([target.options.table_name], timeout=LOCK_TIMEOUT):
        return altered(database, target, changes)


def with_foreign_keys(
    database: Database,
    compared: Sequence[ComparedTable],
    *,
    waits: LockWaits,
    failed: Collection[str] = (),
    dry_run: bool = False,
) -> list[ComparedTable]:
    """Add the foreign keys of targets that the comparisons created, now that all of these exist and are empty.

    :param waits: the waits for locks in this run
    :param failed: names of the targets whose comparison failed
    :param dry_run: only report the foreign keys
    """
    tables = [entry.made for entry in compared if entry.made]
    made = {table.name: table for table in add_foreign_keys(database, tables, waits=waits, failed=failed, dry_run=dry_run)}
    return [entry.with_made(made[entry.report.name], dry_run=dry_run) if entry.made else entry for entry in compared]


@_naming_its_table
@within_max_seconds
def stage_slice(
    client: SyncClient,
    options: TargetTable,
    database: Database,
    planned: PlannedSlice,
    *,
    progress: Progress | None = None,
) -> StagedSlice:
    """Stage the rows of one slice that the target needs; keep rows that a failed attempt staged if they are still correct.

    :param progress: called with the number of rows that arrived
    :raises SourceChangedError: if the source changed during each attempt
    """
    measure = Measure(client, earlier=[planned.traffic()])
    database = with_row_security(database, [options])
    target = planned.applied_to(present_target(client, database, options))
    target = msgspec.structs.replace(target, key_range=planned.key_range)
    target.check_rollback()
    notify = progress or silent
    staging = TaskStaging(database, planned.run_id, target.name)
    low = planned.key_range[0] if planned.key_range else None
    lock = f"{staging.rows.name_for(target.table)}_{low}"
    # An attempt that Airflow considers dead may still be running, hence the lock.
    with database.exclusive([lock], timeout=LOCK_TIMEOUT), database.connect(loading=True) as connection:
        area = StagingArea(
            target=target,
            connection=connection,
            rows=staging.rows,
            removed=staging.removed,
            on_rows=row_progress(notify, target.name),
        )
        source = source_of(client, database, planned.protocol)
        with noticing_alterations(database, lambda: [target]):
            staged = Attempts(client).run(lambda: source.stage_slice(area, planned), is_moved=source_changed)
    return msgspec.structs.replace(
        staged,
        comparison=planned.comparison,
        options=planned.options,
        synced=planned.synced,
        schema_changes=planned.schema_changes,
        equal=planned.equal,
        warnings=(*planned.made_warnings, *staged.warnings),
        **measure.so_far(),
    )


def merge_slices(
    client: SyncClient,
    tables: Mapping[str, tuple[TargetTable, Sequence[StagedSlice]]],
    database: Database,
    *,
    single_transaction: bool = True,
    dry_run: bool = False,
    keep_staged: bool = False,
    equal: Sequence[TargetTable] = (),
    elsewhere: OtherTables = (),
) -> list[TableReport]:
    """Merge the staged rows of tables of one database, and drop the staging tables.

    A failed merge keeps the staging tables, so that it can be retried.

    :param tables: tables by name, each with all of its slices
    :param single_transaction: merge all tables in one transaction; otherwise each table in its own, continuing after failures,
        except that tables linked by foreign keys that cannot be disabled share one
    :param dry_run: report what would change, and write nothing
    :param keep_staged: whether to keep the staging tables for another merge
    :param equal: tables of the run that the comparison found equal, which triggers of merged tables must not change
    :param elsewhere: tables of other connections, which triggers must not change either if they are on the same server
    :return: one report for each table, with the costs of all steps
    :raises SyncFailed: if any failed, with the reports of all
    """
    outcomes = Outcomes[TableReport]()
    merges = [
        _SlicesToMerge(options, slices, Measure(client, earlier=[entry.traffic() for entry in slices], running=False))
        for options, slices in tables.values()
    ]
    groups = transaction_groups(database, merges, lambda merge: merge.options.table_name, single_transaction=single_transaction)
    waits, clean_up_waits = LockWaits(), LockWaits.of_clean_up()
    for group in groups:
        failed = partial(failed_reports, {merge.options.name: merge.measure for merge in group}, group[0].slices[0].protocol)
        with outcomes.going_on(failed), waits.waiting(database) as waiting:
            secured = with_row_security(waiting, [merge.options for merge in group])
            # Includes tables that are merged later: a trigger that changes one makes its staged rows wrong.
            beside = [*equal, *(merge.options for merge in merges if merge not in group)]
            others = partial(with_tables_here, waiting, beside, elsewhere)
            clean_up = CleanUp(secured, clean_up_waits)
            outcomes.add(_merge(client, secured, group, others, clean_up, dry_run=dry_run, keep_staged=keep_staged))
    reports = in_order(outcomes.found, list(tables))
    outcomes.check(reports)
    return reports


class _SlicesToMerge(msgspec.Struct, frozen=True):
    """A table, all of its slices, and what they cost."""

    options: TargetTable
    slices: Sequence[StagedSlice]
    measure: Measure

    @property
    def run_id(self) -> str:
        """The id of the run, from which the names of the staging tables are derived."""
        return self.slices[0].run_id

    def applied_to(self, target: Target) -> Target:
        """Return the target narrowed to what the comparison chose to sync, with the schema changes that it made."""
        changes = tuple(change for entry in self.slices for change in entry.schema_changes)
        return msgspec.structs.replace(self.slices[0].applied_to(target), schema_changes=changes)


def _merge(
    client: SyncClient,
    database: Database,
    merges: Sequence[_SlicesToMerge],
    others: Callable[[], Iterable[TargetTable]],
    clean_up: CleanUp,
    *,
    dry_run: bool,
    keep_staged: bool,
) -> list[TableReport]:
    names = [merge.options.table_name for merge in merges]
    with (
        database.exclusive(names, timeout=LOCK_TIMEOUT) as lock,
        database.connect(loading=True) as connection,
        ExitStack() as staging_tables,
    ):
        staged: list[TableToMerge] = []
        merged_before: dict[str, Sequence[StagedSlice]] = {}

        def find(merge: _SlicesToMerge) -> None:
            with merge.measure.counting():
                target = merge.applied_to(present_target(client, database, merge.options, connection))
                target.check_rollback()
                source = source_of(client, database, merge.slices[0].protocol)
                rows = _find_staged(source, connection, target, merge)
                if rows is None:
                    merged_before[target.name] = merge.slices
                    rows = staging_tables.enter_context(staged_again(source, target, connection, clean_up))
            staged.append(TableToMerge(rows, merge.measure))

        if failure := try_each([(merge.options.name, partial(find, merge)) for merge in merges]):
            raise failure
        with noticing_alterations(database, lambda: [table.target for table in staged]):
            merged = merge_guarded(database, connection, staged, lock=lock, dry_run=dry_run, others=others)
        reports = [
            with_merged_before(report, merged_before[report.name], dry_run=dry_run) if report.name in merged_before else report
            for report in merged
        ]
        for merge, table in () if keep_staged else zip(merges, staged, strict=True):
            for staging in TaskStaging(database, merge.run_id, merge.options.name).both:
                clean_up.drop(merge.options.name, partial(staging.clear, target=table.target.table))
    return clean_up.with_warnings(reports)


def _find_staged(source: TableSource, connection: Connection, target: Target, merge: _SlicesToMerge) -> StagedRows | None:
    """Return the rows that the tasks have staged; ``None`` if their staging tables are gone.

    :raises TableError: if some of the rows are missing
    """
    slices = merge.slices
    if not any(table_slice.changes for table_slice in slices):
        return source.equal_rows(target, rows=slices[0].source_rows, warnings=slices[0].warnings)
    staging = TaskStaging(source.database, merge.run_id, target.name)
    if not staging.is_there(connection, target, slices):
        return None
    return source.staged_rows(target, staging.adopt(connection, target, slices), slices)
