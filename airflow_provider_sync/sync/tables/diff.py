"""Find the keys of the rows that a sync would change; nothing is written, and no row is downloaded.

Version 1 cannot list keys without downloading all rows, so with it a dry run only counts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.databases.table_slice import Key
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.guards import unguarded
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.tables.apply_schema_changes import following_source, narrowed
from airflow_provider_sync.sync.tables.missing_target import find_target, present_target, report_missing, unfinished_target
from airflow_provider_sync.sync.tables.new_target.details import with_details
from airflow_provider_sync.sync.tables.new_target.foreign_keys import add_foreign_keys
from airflow_provider_sync.sync.tables.pipeline import sync_tables
from airflow_provider_sync.sync.tables.target import Target, with_row_security
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.follow_plan import follow_plan, target_facts
from airflow_provider_sync.sync.tables.version2.plan import Action, plan_diff
from airflow_provider_sync.sync.tables.version2.reclassify import reclassified_slices
from airflow_provider_sync.sync.tables.version2.row_changes import RowChanges, with_updated
from airflow_provider_sync.sync.tables.version2.row_lookups import keys_at_target
from airflow_provider_sync.sync.time_limit import within_max_seconds
from airflow_provider_sync.sync.traffic import Measure

MAX_REPORTED_KEYS = 100_000
"""Maximum number of keys of one kind (inserted, updated, deleted) that are reported for one table."""


class TableDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that a sync of one table would make.

    :ivar report: the report, with exact numbers
    :ivar changes: the first keys of each kind; ``None`` if only numbers are known
    """

    report: TableReport
    changes: RowChanges | None = None

    @property
    def keys_omitted(self) -> int:
        """Number of rows that would change but whose keys are not listed because there are too many."""
        report = self.report
        return report.rows_inserted + report.rows_updated + report.rows_deleted - len(self.changes or ())


class _Listed:
    """Counts the rows that differ, and keeps the first keys of each kind."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.inserted: list[Key] = []
        self.updated: list[Key] = []
        self.deleted: list[Key] = []
        self.numbers = {"inserted": 0, "updated": 0, "deleted": 0}

    def add(self, changes: RowChanges) -> None:
        for kind in self.numbers:
            keys, kept = getattr(changes, kind), getattr(self, kind)
            self.numbers[kind] += len(keys)
            kept += keys[: self.most - len(kept)]

    def changes(self) -> RowChanges:
        return RowChanges(inserted=tuple(self.inserted), updated=tuple(self.updated), deleted=tuple(self.deleted))


@within_max_seconds
def diff_table(
    client: SyncClient,
    table: TargetTable,
    database: Database,
    *,
    max_keys: int = MAX_REPORTED_KEYS,
    progress: Progress | None = None,
    equal_rows: int | None = None,
    run_tables: Mapping[str, TargetTable] | None = None,
) -> TableDiff:
    """Find the rows in which source and target differ, in bounded memory, including those that a guard would not allow to delete.

    :param max_keys: maximum number of keys to report of each kind
    :param equal_rows: number of rows if the table was already found equal; ``None`` to compare it
    :param progress: called with the number of rows that version 1 downloads
    :param run_tables: the options of all tables of the run, by name, to which foreign keys may refer
    :raises SyncError: if source and target cannot be compared
    """
    measure = Measure(client)
    run_tables = run_tables or {table.name: table}
    if equal_rows is not None:
        report = TableReport(
            name=table.name, status="unchanged", protocol=2, rows_total=equal_rows, verified="digest", **measure.so_far()
        )
        return TableDiff(report=_with_missing_details(client, database, table, run_tables, report), changes=RowChanges())
    database = with_row_security(database, [table])
    if client.protocol_for() == 1:
        return TableDiff(report=sync_tables(client, [unguarded(table)], database, dry_run=True, progress=progress)[0])
    found = find_target(client, database, table)
    if found is None:
        return TableDiff(report=report_missing(client, database, table, run_tables))

    def compare_rows(target: Target) -> tuple[ComparedSegments, _Listed]:
        findings = follow_plan(client, database, target, target_facts(target), plan_diff)
        listed = _Listed(max_keys)
        if findings.step.action is Action.REPORT_ROWS:
            for found in reclassified_slices(client, database, findings.compared):
                listed.add(_with_returned(database, findings.compared, found.changes))
        return findings.compared, listed

    compared, listed = repeated(client, lambda: following_source(found, partial(narrowed, database), compare_rows))
    differs = any(listed.numbers.values()) or bool(compared.schema_changes)
    report = TableReport(
        name=table.name,
        status="planned" if differs else "unchanged",
        protocol=2,
        rows_total=compared.source_rows,
        verified=None if differs else "digest",
        rows_inserted=listed.numbers["inserted"],
        rows_updated=listed.numbers["updated"],
        rows_deleted=listed.numbers["deleted"],
        schema_changes=compared.schema_changes,
        warnings=compared.warnings,
        **measure.so_far(),
    )
    return TableDiff(report=_with_missing_details(client, database, table, run_tables, report), changes=listed.changes())


def _with_returned(database: Database, compared: ComparedSegments, changes: RowChanges) -> RowChanges:
    """Reclassify rows that the source has again as updated: with ``soft_delete``, the target has them, marked."""
    if not compared.mode.deleted_at:
        return changes
    return with_updated(changes, at_target=keys_at_target(database, compared, changes.inserted, also_ended=True))


def _with_missing_details(
    client: SyncClient, database: Database, table: TargetTable, run_tables: Mapping[str, TargetTable], report: TableReport
) -> TableReport:
    """Add to a report the details, such as foreign keys, that an earlier run did not finish adding to the target."""
    if not (table.create_table and table.create_indexes):
        return report
    with database.connect() as connection:
        target = present_target(client, database, table, connection)
        unfinished = unfinished_target(client, database, table, run_tables, connection, target.table)
    details = add_foreign_keys(database, [unfinished] if unfinished else [], waits=LockWaits(), dry_run=True)
    return next(with_details([report], details, dry_run=True))
