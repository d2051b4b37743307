"""Find out what a run would change in the tables and directories of a client configuration, or in some of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetDirectory, TargetTable, cache_path
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sync.consistent_run import consistent_snapshot
from airflow_provider_sync.sync.directories.diff import DirectoryDiff, diff_directory
from airflow_provider_sync.sync.gone_tables import with_warnings
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.run import Opener, RunPlan, dropped_tables, opened_tables, tables_failed
from airflow_provider_sync.sync.tables.diff import TableDiff, diff_table
from airflow_provider_sync.sync.tables.version2.small_tables import ask_ahead


class RunDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The changes that a run would make.

    :ivar failures: errors of comparisons that failed; the reports of their tables and directories contain them, too
    """

    tables: tuple[TableDiff, ...]
    directories: tuple[DirectoryDiff, ...]
    failures: tuple[SyncError, ...] = ()

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports of all tables, then of all directories."""
        return (*(table.report for table in self.tables), *(directory.report for directory in self.directories))


def diff_run(config: ClientConfig, plan: RunPlan, *, opener: Opener | None = None, progress: Progress | None = None) -> RunDiff:
    """Find out what a run of ``plan`` would change, and continue after failures."""
    opener = opener or Opener()
    tables = Outcomes[TableDiff]()
    with SyncClient.from_config(config) as client:
        plan = plan.resolved(client)
        together = plan.all_tables
        with tables.going_on(partial(_tables_failed, together)), consistent_snapshot(client, config, together):
            for url, group in plan.tables.items():
                with (
                    tables.going_on(partial(_tables_failed, group)),
                    opened_tables(
                        client, plan, url, opener, dry_run=True, single_transaction=config.single_transaction
                    ) as opened,
                ):
                    database, run_tables = opened.database, {table.name: table for table in group}
                    unchanged = ask_ahead(client, database, group, making=False).unchanged
                    waits = LockWaits()
                    for table in group:
                        with tables.going_on(partial(_tables_failed, [table])), waits.waiting(database) as waiting:
                            equal_rows = unchanged.get(table.name)
                            found = diff_table(
                                client, table, waiting, progress=progress, equal_rows=equal_rows, run_tables=run_tables
                            )
                            tables.add([_warned(found, opened.warnings)])
        for url in () if tables.failures else plan.dropping:
            with tables.going_on(partial(_tables_failed, [])):
                drops = dropped_tables(client, plan, url, opener, dry_run=True)
                tables.add([TableDiff(report=report) for report in drops])
        directories = Outcomes[DirectoryDiff]()
        with DigestCache(cache_path(config.cache)) as cache:
            for directory in plan.directories:
                with directories.going_on(partial(_directory_failed, directory)):
                    directories.add([diff_directory(client, directory, opener.storage(directory.path), cache=cache)])
    return RunDiff(
        tables=tuple(tables.found),
        directories=tuple(directories.found),
        failures=(*tables.failures, *directories.failures),
    )


def _warned(found: TableDiff, warnings: Mapping[str, str]) -> TableDiff:
    (report,) = with_warnings([found.report], warnings)
    return msgspec.structs.replace(found, report=report)


def _tables_failed(tables: Sequence[TargetTable], error: SyncError) -> list[TableDiff]:
    return [TableDiff(report=report) for report in tables_failed(tables, error) if isinstance(report, TableReport)]


def _directory_failed(directory: TargetDirectory, error: SyncError) -> list[DirectoryDiff]:
    return [DirectoryDiff(report=DirectoryReport(name=directory.name, status="failed", error=str(error)))]
