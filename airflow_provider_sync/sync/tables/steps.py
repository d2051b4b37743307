"""One table in three steps that may be tasks on different machines: compare, download in parts, merge.

::

    compare ── makes the staging table, cuts ──┬─ download keys 1 to 900  ─┬── merge ── verify ── commit ── drop staging
                                               ├─ download keys 901 to 2000┤
                                               └─ …                        ┘

Between the steps there are only small values that JSON has, and the staging table in the target's database, which all parts
share: their keys are disjoint. Each part is a sync of its own range of keys, so that what a step has to know it asks for again.
What the steps do is what :mod:`.pipeline` does in one go, by the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import Literal

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.slices import cut
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    MissingTableError,
    ServerError,
)
from airflow_provider_sync.merge.staging import PERMANENT, SharedStaging
from airflow_provider_sync.protocol.v2.messages import KeyRange
from airflow_provider_sync.report import TableReport, Verified
from airflow_provider_sync.sync.attempts import Attempts, repeated, source_changed
from airflow_provider_sync.sync.progress import Progress, silent
from airflow_provider_sync.sync.tables import version2
from airflow_provider_sync.sync.tables.differences import Comparison, compare_segments
from airflow_provider_sync.sync.tables.download import Unchanged
from airflow_provider_sync.sync.tables.fetch import Fetch
from airflow_provider_sync.sync.tables.made_target import made_target
from airflow_provider_sync.sync.tables.pipeline import LOCK_TIMEOUT, find_target, present_target
from airflow_provider_sync.sync.tables.sampling import compare_tables
from airflow_provider_sync.sync.tables.slice_values import PlannedSlice, StagedSlice
from airflow_provider_sync.sync.tables.target import Target, seen_by
from airflow_provider_sync.sync.tables.version1 import download as version1
from airflow_provider_sync.sync.tables.version1.hashes import compare_hashes
from airflow_provider_sync.sync.time_limit import within_max_seconds
from airflow_provider_sync.sync.traffic import Measure

TASK_ROWS = 50_000
"""Rows to look at, on both sides together, below which a part is not worth a task of its own."""


@within_max_seconds
def compare_table(
    client: SyncClient, options: TargetTable, database: Database, *, run: str, slices: int = 1, dry_run: bool = False
) -> list[PlannedSlice] | TableReport:
    """Compare a table with the source, and cut what has to be downloaded into parts; a missing target is made if it may be.

    :param run: what tells this run from all others; the same for each try
    :param parts: most parts; there are fewer for small tables, and one where the key is not a single integer
    :param dry_run: make no missing target
    :return: what to download; a report when source and target are equal
    :raises MissingTableError: for a missing target that is not to be made
    :raises ConfigurationError: for a staging table that other tasks could not reach
    """
    if options.staging != PERMANENT:
        raise ConfigurationError(
            f"Table {options.name!r}: staging is {options.staging!r}, which other tasks cannot find. Leave it out for the steps."
        )
    measure = Measure(client)
    database = seen_by(database, [options])
    database.require_session()
    target = find_target(client, database, options)
    if target is not None:
        target.check_rollback()
        return _compare(client, options, database, target, measure, run, slices)
    if dry_run:
        raise MissingTableError(
            f"There is no table {options.table_name!r} yet. A run makes it; a dry run in steps has nowhere to stage rows."
            " Take TableSyncOperator for it, whose dry run stages none for such a table."
        )
    with database.exclusive([options.table_name], timeout=LOCK_TIMEOUT) as lock, ExitStack() as made:
        # Whoever held the lock may have made it meanwhile.
        if find_target(client, database, options) is None:
            made.enter_context(made_target(client, database, options, lock))
        target = present_target(client, database, options)
        return _compare(client, options, database, target, measure, run, slices)


def _compare(
    client: SyncClient, options: TargetTable, database: Database, target: Target, measure: Measure, run: str, slices: int
) -> list[PlannedSlice] | TableReport:
    with database.connect() as connection:
        for staging in (staging_of(database, run), removed_of(database, run)):
            staging.clear(connection, target.table)
    if client.protocol_for() == 1:
        differs, source_hash, warnings = _compare_hashes(client, database, target)
        if not differs:
            with database.connect() as connection:
                rows = database.reader.count(connection, target.table)
            return _unchanged(target, 1, rows, "hash", measure, warnings)
        found = [PlannedSlice(table=options.name, run=run, protocol=1, whole=True, source_hash=source_hash)]
    else:
        compared = repeated(client, lambda: compare_segments(client, database, target))
        if not compared.differing:
            return _unchanged(target, 2, compared.source_rows, "digest", measure)
        found = _slices(client, database, compared, run, slices)
    return [msgspec.structs.replace(table_slice, **measure.so_far()) for table_slice in found[:1]] + found[1:]


@within_max_seconds
def download_slice(
    client: SyncClient,
    options: TargetTable,
    database: Database,
    table_slice: PlannedSlice,
    *,
    lock_timeout: float = LOCK_TIMEOUT,
    progress: Progress | None = None,
) -> StagedSlice:
    """Stage what the target needs of one part; what a failed try left there is taken over as far as it still is right.

    :raises SourceChangedError: when the source never stood still
    """
    measure = Measure(client, earlier=[table_slice.traffic()])
    database = seen_by(database, [options])
    target = present_target(client, database, options)
    target = msgspec.structs.replace(target, key_range=table_slice.key_range)
    target.check_rollback()
    telling = progress or silent

    def on_rows(rows: int) -> None:
        telling(target.name, rows, "rows")

    # Should a try that Airflow holds for dead still be at work, its retry waits.
    low = table_slice.key_range[0] if table_slice.key_range else None
    lock = f"{staging_of(database, table_slice.run).name_for(target.table)}_{low}"
    stage = _stage_whole if table_slice.protocol == 1 else _stage
    with database.exclusive([lock], timeout=lock_timeout), database.connect(loading=True) as connection:
        staged = Attempts(client).run(
            lambda: stage(client, database, connection, target, table_slice, on_rows), is_moved=source_changed
        )
    return msgspec.structs.replace(staged, **measure.so_far())


def staging_of(database: Database, run: str) -> SharedStaging:
    """Return the staging of a run, into which all parts go."""
    return SharedStaging(database, run)


def removed_of(database: Database, run: str) -> SharedStaging:
    """Return the table of the keys that go."""
    return SharedStaging(database, f"{run}\0removed")


def _compare_hashes(client: SyncClient, database: Database, target: Target) -> tuple[bool, str | None, tuple[str, ...]]:
    try:
        compared = compare_hashes(client, database, target)
        return compared.differs, compared.source_hash, compared.warnings
    except ServerError as error:
        if error.status not in (422, 500):
            raise
        return True, None, ()  # a source that cannot hash; what else is wrong shows when its rows are asked for


def _unchanged(
    target: Target,
    protocol: Literal[1, 2],
    rows: int,
    verified: Verified,
    measure: Measure,
    warnings: tuple[str, ...] = (),
) -> TableReport:
    return TableReport(
        name=target.name,
        status="unchanged",
        protocol=protocol,
        rows_total=rows,
        verified=verified,
        warnings=warnings,
        **measure.so_far(),
    )


def _slices(client: SyncClient, database: Database, compared: Comparison, run: str, slices: int) -> list[PlannedSlice]:
    """Make the staging tables, and cut what differs."""
    target = compared.target
    columns = [column.column for column in compared.table_slice.columns]
    key = [column.column for column in compared.table_slice.key]
    names = [column.name for column in key]
    with database.connect() as connection:
        staging_of(database, run).create(
            connection, target.table, columns, primary_key=names, indexes=target.options.import_indexes
        )
        removed_of(database, run).create(connection, target.table, key, primary_key=names)
    whole = repeated(client, lambda: version2.pays_to_send_all(client, database, compared))
    return [
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
        for key_range, rows in _ranges(compared, slices, whole=bool(whole))
    ]


def _ranges(compared: Comparison, slices: int, *, whole: bool) -> Iterable[tuple[KeyRange | None, int]]:
    numbers = compared.source.keys() | compared.own.keys() if whole else compared.differing
    rows = compared.rows_in(numbers)
    total = sum(rows.values())
    slices = min(slices, -(-total // TASK_ROWS))
    if slices <= 1 or compared.partitioning.scheme != "key_range":
        return [(None, total)]
    return cut(compared.partitioning, rows, slices, whole=whole)


def _stage(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    table_slice: PlannedSlice,
    on_rows: Callable[[int], None],
) -> StagedSlice:
    compared = compare_tables(client, database, target)
    staging, removed = staging_of(database, table_slice.run), removed_of(database, table_slice.run)
    fetch = Fetch(client, database, connection, compared, staging, removed=removed, on_rows=on_rows)
    if table_slice.whole is None:
        download = version2.stage_differences(fetch)
    elif table_slice.whole:
        download = fetch.everything()
    else:
        download = version2.stage_rows(fetch)
    expected = download.expected(connection)
    segments = (download.compared.source if expected is None else expected).values()
    return StagedSlice(
        table=table_slice.table,
        run=table_slice.run,
        protocol=2,
        key_range=table_slice.key_range,
        source_rows=table_slice.source_rows,
        target_rows=table_slice.target_rows,
        whole=download.whole,
        staged=download.rows_staged,
        removed=download.deleted_rows,
        received=download.rows_received,
        rows=sum(segment.rows for segment in segments),
        algorithm=download.compared.table_slice.digest,
        digest=sum(segment.sum for segment in segments) % 2**64,
        by_key=expected is None,
        proven=download.proven,
        warnings=download.warnings,
    )


def _stage_whole(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    table_slice: PlannedSlice,
    on_rows: Callable[[int], None],
) -> StagedSlice:
    """Version 1: begin anew."""
    staging, removed = staging_of(database, table_slice.run), removed_of(database, table_slice.run)
    removed.clear(connection, target.table)
    download = version1.download(
        client, database, connection, target, staging, on_rows=on_rows, known_hash=table_slice.source_hash, removed=removed
    )
    if isinstance(download, Unchanged):
        return StagedSlice(
            table=table_slice.table,
            run=table_slice.run,
            protocol=1,
            whole=False,
            staged=0,
            source_rows=download.rows,
            warnings=download.warnings,
        )
    listed = download.listed
    return StagedSlice(
        table=table_slice.table,
        run=table_slice.run,
        protocol=1,
        source_rows=download.rows_total,
        target_rows=download.target_rows,
        whole=listed is None,
        staged=download.rows_total,
        removed=0 if listed is None else database.reader.count(connection, listed),
        received=download.rows_received,
        rows=download.rows_total,
        source_hash=download.source_hash,
        hashed=None if download.hashed is None else tuple(column.name for column in download.hashed),
        time_zone=download.zone.name,
        warnings=download.warnings,
    )
