"""Run the steps of a sync: compare, download, then merge tables or delete files. Each may be a task on a different machine.

This module applies each step to all tables or directories of a plan; :mod:`.tables.steps` and :mod:`.directories.steps` handle a
single one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetDirectory, TargetTable, cache_path
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sync.consistent_run import refuse_steps
from airflow_provider_sync.sync.directories.steps import FileBatch, compare_directory, delete_files, download_batch
from airflow_provider_sync.sync.gone_tables import refuse_drops
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.run import Opener, RunPlan, directory_failed, opened_tables, other_tables, tables_failed
from airflow_provider_sync.sync.shared_options import check_shared_options, shared_options
from airflow_provider_sync.sync.tables.failures import concern_all
from airflow_provider_sync.sync.tables.slice_values import ComparedTable, PlannedSlice, StagedSlice, with_first
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice, with_foreign_keys
from airflow_provider_sync.sync.tables.version2.small_tables import ask_ahead

Piece = TypeVar("Piece", PlannedSlice, FileBatch)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkFound(Generic[Piece]):
    """The result of the first step.

    :ivar unchanged: reports of the tables or directories that are up to date
    :ivar pieces: slices or batches to download, of all tables or directories that differ
    :ivar warnings: warnings about the target as a whole
    """

    unchanged: Sequence[Report]
    pieces: Sequence[Piece]
    warnings: Sequence[str] = ()


def compare_tables(
    config: ClientConfig, plan: RunPlan, *, opener: Opener, run_id: str, slices: int = 1, dry_run: bool = False
) -> WorkFound[PlannedSlice]:
    """Compare the tables of a plan with the source, continue after failures, and divide the differing tables into slices.

    :param run_id: unique id of this run; the same for each attempt
    :param slices: maximum number of slices, of all tables together; each table that differs has at least one
    :param dry_run: do not create missing targets
    :raises ConfigurationError: for ``consistent`` and ``drop_missing``, which a sync in steps does not support
    :raises SyncFailed: if any failed, with the reports of those and of the tables that are up to date
    """
    refuse_steps(config)
    refuse_drops([pattern for _, pattern in plan.patterns])
    outcomes = Outcomes[Report]()
    found: list[PlannedSlice] = []
    warnings: list[str] = []
    with SyncClient.from_config(config) as client:
        plan = plan.resolved(client)
        each = max(1, slices // len(plan.all_tables))
        for url, tables in plan.tables.items():
            with (
                outcomes.going_on(partial(tables_failed, tables)),
                opened_tables(
                    client, plan, url, opener, dry_run=dry_run, single_transaction=config.single_transaction, in_steps=True
                ) as opened,
            ):
                database = opened.database
                warnings += opened.warnings.values()
                ahead = opened.ahead or ask_ahead(client, database, tables, making=not dry_run)
                compared: list[ComparedTable] = []
                named = {table.name: table for table in tables}
                before = len(outcomes.failures)
                waits, clean_up_waits = LockWaits(), LockWaits.of_clean_up()
                for table in tables:
                    with outcomes.going_on(partial(tables_failed, [table])), waits.waiting(database) as waiting:
                        compared.append(
                            compare_table(
                                client,
                                table,
                                waiting,
                                run_id=run_id,
                                slices=each,
                                dry_run=dry_run,
                                equal_rows=ahead.unchanged.get(table.name),
                                described=ahead.described.get(table.name),
                                tables=named,
                                clean_up_waits=clean_up_waits,
                            )
                        )
                    if (failures := outcomes.failures[before:]) and concern_all(failures):
                        break  # the server would answer the same for the other tables
                there = {entry.report.name for entry in compared}
                failed = {table.table_name for table in tables if table.name not in there}
                compared = with_foreign_keys(database, compared, waits=waits, failed=failed, dry_run=dry_run)
                for entry in compared:
                    options = shared_options(config, named[entry.report.name], connection=url)
                    found += [msgspec.structs.replace(table_slice, options=options) for table_slice in entry.slices]
                outcomes.add([entry.report for entry in compared if not entry.slices])
    outcomes.check(outcomes.found)
    pieces = with_first(found, equal=tuple(report.name for report in outcomes.found))
    return WorkFound(unchanged=outcomes.found, pieces=pieces, warnings=warnings)


def download_tables(
    config: ClientConfig, plan: RunPlan, slices: Sequence[PlannedSlice], *, opener: Opener, progress: Progress | None = None
) -> list[StagedSlice]:
    """Download the rows of each slice that the target needs into staging tables.

    :return: the staged slices, for the merge
    :raises ConfigurationError: if the plan lacks the table of a slice, or has it with other options
    :raises SyncFailed: for the first slice that fails, with the report of its table
    """
    staged: list[StagedSlice] = []
    with SyncClient.from_config(config) as client:
        for table_slice in slices:
            url, table = _table_of(config, plan, table_slice)
            with _failing(TableReport, table.name), opener.existing_database(url) as database:
                staged.append(stage_slice(client, table, database, table_slice, progress=progress))
    return staged


def merge_tables(
    config: ClientConfig,
    plan: RunPlan,
    slices: Sequence[StagedSlice],
    *,
    opener: Opener,
    dry_run: bool = False,
    keep_staged: bool = False,
) -> list[Report]:
    """Merge staged rows in one short transaction for each database or table, and drop the staging tables.

    A failed merge keeps its staging tables for the next attempt; the other databases are still merged.

    :param slices: the results of all downloads
    :param keep_staged: whether to keep the staging tables for another merge
    :return: a report for each table, with the costs of all steps
    :raises ConfigurationError: if the plan lacks the table of a slice, or has it with other options; nothing was merged
    :raises SyncFailed: if any failed, with the reports of all
    """
    by_url: dict[str, dict[str, tuple[TargetTable, list[StagedSlice]]]] = {}
    for table_slice in slices:
        url, table = _table_of(config, plan, table_slice)
        by_url.setdefault(url, {}).setdefault(table_slice.table, (table, []))[1].append(table_slice)
    equal = [plan.find_table(name) for name in sorted({name for table_slice in slices for name in table_slice.equal})]
    merged = [(url, table) for url, staged in by_url.items() for table, _ in staged.values()]
    compared = RunPlan.of([*equal, *merged]).tables
    outcomes = Outcomes[Report]()
    with SyncClient.from_config(config) as client:
        for url, staged in by_url.items():
            tables = [table for table, _ in staged.values()]
            with outcomes.going_on(partial(tables_failed, tables)), opener.existing_database(url) as database:
                outcomes.add(
                    merge_slices(
                        client,
                        staged,
                        database,
                        single_transaction=config.single_transaction,
                        dry_run=dry_run,
                        keep_staged=keep_staged,
                        equal=[table for of, table in equal if of == url],
                        elsewhere=other_tables(opener, compared, url),
                    )
                )
    outcomes.check(outcomes.found)
    return outcomes.found


def compare_directories(config: ClientConfig, plan: RunPlan, *, opener: Opener, batches: int = 1) -> WorkFound[FileBatch]:
    """Compare the directories of a plan with the source, continue after failures, and divide the files to download into batches.

    :param batches: maximum number of batches, of all directories together; each directory that differs has at least one
    :raises SyncFailed: if any failed, with the reports of those and of the directories that are up to date
    """
    each = max(1, batches // len(plan.directories))
    outcomes = Outcomes[Report]()
    found: list[FileBatch] = []
    with SyncClient.from_config(config) as client, DigestCache(cache_path(config.cache)) as cache:
        for directory in plan.directories:
            with outcomes.going_on(partial(directory_failed, directory)):
                storage = opener.storage(directory.path)
                compared = compare_directory(client, directory, storage, batches=each, cache=cache)
                options = shared_options(config, directory)
                found += [msgspec.structs.replace(batch, options=options) for batch in compared.batches]
                outcomes.add([] if compared.batches else [compared.report])
    outcomes.check(outcomes.found)
    return WorkFound(unchanged=outcomes.found, pieces=found)


def download_directories(
    config: ClientConfig,
    plan: RunPlan,
    batches: Sequence[FileBatch],
    *,
    opener: Opener,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> list[FileBatch]:
    """Download the files of each batch that still differ.

    :return: the batches, with the results and costs of the downloads
    :raises ConfigurationError: if the plan lacks the directory of a batch, or has it with other options
    :raises SyncFailed: for the first batch that fails, with the report of its directory
    """
    done: list[FileBatch] = []
    with SyncClient.from_config(config) as client, DigestCache(cache_path(config.cache)) as cache:
        for batch in batches:
            directory = _directory_of(config, plan, batch)
            with _failing(DirectoryReport, directory.name):
                storage = opener.storage(directory.path)
                done.append(download_batch(client, directory, storage, batch, dry_run=dry_run, progress=progress, cache=cache))
    return done


def delete_in_directories(
    config: ClientConfig, plan: RunPlan, batches: Sequence[FileBatch], *, opener: Opener, dry_run: bool = False
) -> list[Report]:
    """Delete files that the source lacks, as the last step, in each directory that has a batch.

    :param batches: the results of all downloads
    :return: a report for each directory, with the costs of all steps
    :raises ConfigurationError: if the plan lacks the directory of a batch, or has it with other options; nothing was deleted
    :raises SyncFailed: if any failed, with the reports of all
    """
    by_name: dict[str, list[FileBatch]] = {}
    for batch in batches:
        by_name.setdefault(_directory_of(config, plan, batch).name, []).append(batch)
    outcomes = Outcomes[Report]()
    with SyncClient.from_config(config) as client, DigestCache(cache_path(config.cache)) as cache:
        for name, downloaded in by_name.items():
            directory = plan.find_directory(name)
            with outcomes.going_on(partial(directory_failed, directory)):
                storage = opener.storage(directory.path)
                outcomes.add([delete_files(client, directory, storage, downloaded, dry_run=dry_run, cache=cache)])
    outcomes.check(outcomes.found)
    return outcomes.found


def _table_of(config: ClientConfig, plan: RunPlan, piece: PlannedSlice | StagedSlice) -> tuple[str, TargetTable]:
    """Return the database URL and the options of a slice's table, after checking that they are those of the comparison."""
    url, table = plan.find_table(piece.table)
    check_shared_options(piece, config, table, connection=url)
    return url, table


def _directory_of(config: ClientConfig, plan: RunPlan, batch: FileBatch) -> TargetDirectory:
    """Return the options of a batch's directory, after checking that they are those of the comparison."""
    directory = plan.find_directory(batch.directory)
    check_shared_options(batch, config, directory)
    return directory


@contextmanager
def _failing(kind: type[TableReport] | type[DirectoryReport], name: str) -> Iterator[None]:
    """Turn an error of the block into the failure of a table or directory, with its report.

    :raises SyncFailed: for any :class:`SyncError`
    """
    try:
        yield
    except SyncError as error:
        reports = error.reports or (kind(name=name, status="failed", error=str(error)),)
        raise SyncFailed(str(error), reports, error.retryable) from error
