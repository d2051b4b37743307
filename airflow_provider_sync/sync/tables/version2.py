"""Compare and download one table by version 2 of the protocol: only the rows that differ move.

::

    a look ── describe ─┬─ source digests its segments ─┐
                        └─ target digests its own ──────┴─ compare ── rows of the segments that differ ── fetch ── staging

Both databases work at the same time: what the target has to compute runs in a second thread, over a snapshot of its own.
How finely the tables are cut is found in :mod:`.sampling`, where rows differ in :mod:`.differences`; here it is decided what to
fetch, which :mod:`.fetch` does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import MissingTableError
from airflow_provider_sync.merge.staging import Staging
from airflow_provider_sync.protocol.v2.messages import DescribeTable
from airflow_provider_sync.sync.tables.column_mapping import create_statement, land, requested_slice_of
from airflow_provider_sync.sync.tables.differences import (
    MOST_SCANS,
    Comparison,
    compare_few_rows,
    compare_finer,
    scans_of,
)
from airflow_provider_sync.sync.tables.direct_download import load_directly
from airflow_provider_sync.sync.tables.fetch import Fetch
from airflow_provider_sync.sync.tables.fetched_rows import FetchedRows
from airflow_provider_sync.sync.tables.sampling import (
    WHOLE_ABOVE,
    compare_scattered,
    compare_tables,
    sample_changes,
    tables_differ,
)
from airflow_provider_sync.sync.tables.staged_rows import EqualRows, StagedRows
from airflow_provider_sync.sync.tables.target import Target

MOST_LISTED = 250_000
"""Rows above which the whole table is sent, too, so that no more keys than these are held in memory; where it cannot be, since
rows outside a window stay, rows are staged some at a time."""

MOST_DIRECT = 1_000_000
"""Rows that are loaded directly where a failed try shall be gone on with; fetching so many again takes less than a minute."""


def differs(client: SyncClient, database: Database, target: Target) -> bool:
    """Whether source and target differ, by the digests of their segments; no row is asked for."""
    return tables_differ(client, database, target)


def missing(client: SyncClient, database: Database, options: TargetTable) -> MissingTableError:
    """Return the error for a missing target, with the CREATE TABLE that the source's description makes."""
    request = DescribeTable(table_slice=requested_slice_of(options), digests=False)
    with client.describe_table(request) as answer:
        statement = create_statement(database, options, answer.described)
    return MissingTableError(
        f"There is no table {options.table_name!r} in the target database. Set create_table to have it made, or run:\n{statement}"
    )


def create(client: SyncClient, database: Database, options: TargetTable) -> Table:
    """Make a missing target from the source's description, and return it."""
    request = DescribeTable(table_slice=requested_slice_of(options), digests=False)
    with client.describe_table(request) as answer, database.connect() as connection:
        connection.exec_driver_sql(create_statement(database, options, answer.described))
        return database.catalog.describe(connection, options.table_name)


def count_rows(client: SyncClient, options: TargetTable) -> int:
    """Count the rows of the source."""
    with client.describe_table(DescribeTable(table_slice=requested_slice_of(options))) as answer:
        return sum(sum(segments.counts) for segments in answer)


def check(client: SyncClient, database: Database, target: Target) -> None:
    """See that the source offers the table, and that the target can hold its columns.

    :raises SyncError: when not
    """
    with client.describe_table(DescribeTable(table_slice=requested_slice_of(target.options), digests=False)) as answer:
        land(database, target, answer.described)


def download(
    client: SyncClient,
    database: Database,
    connection: Connection,
    target: Target,
    staging: Staging,
    *,
    on_rows: Callable[[int], None],
    asking: Callable[[], AbstractContextManager[None]] = nullcontext,
    resume: bool = False,
    direct: bool = True,
) -> StagedRows:
    """Find the rows that differ, and stage those that the source has.

    :param connection: over which the staging tables are made and filled
    :param on_rows: called with the number of rows that arrived
    :param asking: opens the block within which rows are asked for during the merge
    :param resume: stage large tables also where they could be loaded directly, so that a failed try is not for nothing
    :param direct: load an empty target directly where that is possible
    :raises SourceChangedError: when the source's columns changed between two answers
    """
    most = MOST_DIRECT if resume else None
    if direct and (first := load_directly(client, database, connection, target, on_rows, asking=asking, most=most)):
        return first
    compared = compare_tables(client, database, target)
    if not compared.differing:
        return EqualRows(target, protocol=2, rows=compared.source_rows, verified="digest")
    return stage_differences(Fetch(client, database, connection, compared, staging, on_rows=on_rows))


def stage_differences(fetch: Fetch) -> FetchedRows:
    """Compare rows where that pays, and stage what differs, or all."""
    client, database, compared = fetch.client, fetch.database, fetch.compared
    if fetch.target.options.window is not None:
        # Rows outside the window stay, so that what goes must be known by its key.
        return stage_rows(fetch)
    if not compared.target_rows:
        return fetch.everything()
    compared = fetch.compared = compare_finer(client, database, compared)
    if scans_of(compared) > MOST_SCANS:
        return fetch.everything()
    if sample := sample_changes(client, database, compared):
        if sample.wanted > WHOLE_ABOVE:
            return fetch.everything()
        compared = fetch.compared = compare_scattered(client, database, compared, sample)
    if compared.target_rows - compared.source_rows > MOST_LISTED:
        return fetch.slices()
    differences = compare_few_rows(client, database, compared, min(MOST_LISTED, WHOLE_ABOVE * compared.source_rows))
    return fetch.everything() if differences is None else fetch.rows(differences)


def stage_rows(fetch: Fetch) -> FetchedRows:
    """Stage the rows that differ, however many."""
    fetch.compared = compare_finer(fetch.client, fetch.database, fetch.compared)
    differences = compare_few_rows(fetch.client, fetch.database, fetch.compared, MOST_LISTED)
    return fetch.slices() if differences is None else fetch.rows(differences)


def pays_to_send_all(client: SyncClient, database: Database, compared: Comparison) -> bool | None:
    """Whether all rows are to be staged rather than those that differ, before rows were compared.

    :return: ``None`` where only that can tell
    """
    if compared.target.options.window is not None:
        return False
    if compared.source_rows > 2 * compared.target_rows:
        return True
    if compared.partitioning.scheme != "key_range":
        return None
    sample = sample_changes(client, database, compared)
    return sample is not None and sample.wanted > WHOLE_ABOVE
