"""Which rows a sync would change, by their keys; nothing is written, and no row is downloaded.

Version 1 cannot tell keys without all the rows, so there a dry run tells the numbers alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetTable
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.report import Report, TableReport
from airflow_provider_sync.sync.differences import compare_finer, compare_rows, compare_segments, confine_to_window
from airflow_provider_sync.sync.measure import Measure
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.run import Opener, RunPlan, run
from airflow_provider_sync.sync.tables import find_target, sync_tables
from airflow_provider_sync.tables.engines.base import Database
from airflow_provider_sync.tables.reconcile import RowChanges


class TableDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What a sync of one table would do.

    :ivar changes: the keys of the rows; ``None`` where only numbers are known
    """

    report: TableReport
    changes: RowChanges | None = None


class RunDiff(msgspec.Struct, frozen=True, kw_only=True):
    """What a run would do.

    :ivar failures: why some are not known; their reports say the same
    """

    tables: tuple[TableDiff, ...]
    directories: tuple[Report, ...]
    failures: tuple[SyncError, ...] = ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """Reports of everything, in order."""
        return (*(table.report for table in self.tables), *self.directories)


def diff_table(client: SyncClient, table: TargetTable, database: Database, *, progress: Progress | None = None) -> TableDiff:
    """Find the rows in which source and target differ.

    :param progress: told of the rows that version 1 downloads
    :raises SyncError: when they cannot be compared
    """
    measure = Measure(client)
    if client.protocol_for() == 1:
        return TableDiff(report=sync_tables(client, [table], database, dry_run=True, progress=progress)[0])
    target = find_target(client, database, table)
    if target is None:
        return TableDiff(report=sync_tables(client, [table], database, dry_run=True, progress=progress)[0])
    compared = compare_segments(client, database, target)
    changes = RowChanges()
    if compared.differing:
        compared = compare_finer(client, database, compared)
        found = compare_rows(client, database, compared)
        changes = confine_to_window(client, database, compared, found).changes
    report = TableReport(
        name=table.name,
        status="planned" if len(changes) else "unchanged",
        protocol=2,
        rows_total=compared.source_rows,
        rows_inserted=len(changes.inserted),
        rows_updated=len(changes.updated),
        rows_deleted=len(changes.deleted),
        verified=None if len(changes) else "digest",
        **measure.so_far(),
    )
    return TableDiff(report=report, changes=changes)


def diff_run(config: ClientConfig, plan: RunPlan, *, opener: Opener | None = None, progress: Progress | None = None) -> RunDiff:
    """Find out what a run would do with everything in ``plan``, the rest even when one fails."""
    opener = opener or Opener()
    tables: list[TableDiff] = []
    failures: list[SyncError] = []
    with SyncClient.from_config(config) as client:
        for url, group in plan.tables.items():
            try:
                with opener.database(url) as database:
                    for table in group:
                        tables.append(_diff_or_failure(client, table, database, progress, failures))
            except SyncError as error:
                # The database could not even be opened, which is no reason to leave the others alone.
                failures.append(error)
                done = {diff.report.name for diff in tables}
                tables += [_failed(table, error) for table in group if table.name not in done]
    directories: Sequence[Report] = ()
    try:
        directories = run(
            config, RunPlan(tables={}, directories=plan.directories), opener=opener, dry_run=True, progress=progress
        )
    except SyncFailed as failure:
        failures.append(failure)
        directories = failure.reports
    return RunDiff(tables=tuple(tables), directories=tuple(directories), failures=tuple(failures))


def _diff_or_failure(
    client: SyncClient, table: TargetTable, database: Database, progress: Progress | None, failures: list[SyncError]
) -> TableDiff:
    try:
        return diff_table(client, table, database, progress=progress)
    except SyncFailed as failure:
        failures.append(failure)
        return _failed(table, failure)
    except SyncError as error:
        failures.append(error)
        return _failed(table, error)


def _failed(table: TargetTable, error: SyncError) -> TableDiff:
    return TableDiff(report=TableReport(name=table.name, status="failed", error=str(error)))
