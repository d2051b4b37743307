"""Ask about many tables in few requests: find the small ones that are unchanged, and describe those that a run creates.

::

    source  ── describe and digest each small table, in one answer ──┐
    target               digest each as its answer arrives ──────────┴─ equal: unchanged ─ anything else: compared by itself

This comparison can only prove that tables are equal. A table that differs, is large, or cannot be compared is left to
:mod:`.follow_plan`, which compares it from the beginning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.many_tables_stream import AnsweredTable
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import LockTimeoutError, MissingTableError, SyncError
from airflow_provider_sync.merge.gone_columns import columns_with_values
from airflow_provider_sync.merge.target_key import refuse_null_keys
from airflow_provider_sync.protocol.v2.messages import Described, DescribeTables
from airflow_provider_sync.sync.tables.descriptions import Descriptions
from airflow_provider_sync.sync.tables.schema_changes import schema_warnings
from airflow_provider_sync.sync.tables.target import Target, resolve_target, with_row_security
from airflow_provider_sync.sync.tables.version2.column_mapping import configured_slice, map_columns, requested_slice_for
from airflow_provider_sync.sync.tables.version2.comparison import differing_segments_of
from airflow_provider_sync.sync.tables.version2.source_digests import probes_of, read_segments

Table = TypeVar("Table")

SMALL_ROWS = 100_000
"""Maximum number of rows of a table that is digested as a whole in advance: a fraction of a second on each side."""

REQUESTS_AT_ONCE = 2
"""Number of parallel requests."""

TABLE_WEIGHT = 2_000
"""Cost of asking about an empty table, as the number of rows that could be digested in that time."""

TABLES_EACH = 16
"""Minimum number of tables per request for which another parallel request pays."""

LOCK_SECONDS = 2
"""Longest wait for a table that another session locks; such a table is waited for longer when it is synced."""

MAX_LOCKED = 3
"""Number of locked tables of a request after which its other tables are left to their own sync: all of them may be locked."""


def find_unchanged(client: SyncClient, database: Database, targets: Sequence[Target]) -> Mapping[str, int]:
    """Return the source's number of rows for each table that equals its target; other tables are left out.

    :param targets: the targets; if there is only one, or the server speaks only version 1, no request is made
    :raises SyncError: if the server does not answer, or violates the protocol
    """
    if len(targets) < 2 or not client.tables_per_request:
        return {}
    # Requests on one snapshot may have to wait for each other.
    at_once = 1 if client.snapshot else REQUESTS_AT_ONCE
    groups = cut_into_requests(targets, client.tables_per_request, _estimated_rows(database, targets), at_once=at_once)
    database = database.waiting(LOCK_SECONDS)
    probes = probes_of(client, database)
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="small-tables") as pool:
        unchanged: dict[str, int] = {}
        for found in pool.map(lambda group: _find_unchanged(client, database, group, probes), groups):
            unchanged.update(found)
        return unchanged


class KnownAhead(msgspec.Struct, frozen=True, kw_only=True):
    """The facts known about the tables of a run before the first table is locked, by table name.

    :ivar unchanged: the source's number of rows for each table that equals its target
    :ivar described: the source's description of each table to create
    """

    unchanged: Mapping[str, int] = {}
    described: Mapping[str, Described] = {}


def ask_ahead(client: SyncClient, database: Database, tables: Sequence[TargetTable], *, making: bool = True) -> KnownAhead:
    """Compare and describe the tables in few requests, before each of them is locked and synced.

    Errors are ignored here, since the sync of each table reports them.

    :param making: whether missing targets will be created, and so need a description
    """
    database = with_row_security(database, tables).waiting(LOCK_SECONDS)
    targets, missing = list[Target](), list[TargetTable]()
    unchanged: Mapping[str, int] = {}
    with suppress(SyncError):
        if len(tables) < 2 or not client.tables_per_request:
            return KnownAhead()
        with database.connect() as connection, database.translate_errors():
            described = database.catalog.describe_many(connection, [options.table_name for options in tables])
            for options in tables:
                try:
                    with database.translate_errors():
                        targets.append(resolve_target(database, connection, options, described.get(options.table_name)))
                except MissingTableError:
                    missing += [options] if making and options.create_table else []
                except SyncError:
                    continue  # it fails for the same reason when it is synced
        unchanged = find_unchanged(client, database, targets)
    return KnownAhead(unchanged=unchanged, described=describe_ahead(client, database, missing))


def describe_ahead(client: SyncClient, database: Database, tables: Sequence[TargetTable]) -> Descriptions:
    """Return the source's descriptions of tables to create, without digests.

    Errors are ignored here, since the sync of each table reports them. Descriptions that exceed the memory limit are left out,
    and are requested again one by one.
    """
    described = Descriptions()
    if len(tables) < 2 or not client.tables_per_request:
        return described
    with suppress(SyncError):
        probes = probes_of(client, database)
        for group in cut_into_requests(tables, client.tables_per_request, at_once=1):
            request = DescribeTables(
                table_slices=tuple(map(configured_slice, group)), max_rows=0, schemes=database.digests.schemes, probes=probes
            )
            with client.describe_tables(request) as answer:
                for table in answer:
                    if table.described is not None:
                        described.keep(group[table.number].name, table.described)
    return described


def cut_into_requests(
    tables: Sequence[Table], most: int, rows: Sequence[int] = (), *, at_once: int = REQUESTS_AT_ONCE
) -> list[Sequence[Table]]:
    """Divide the tables into requests that take about the same time: as few as the server allows, or a few more in parallel.

    :param most: maximum number of tables in a request
    :param rows: estimated number of rows of each table; 0 if unknown
    :param at_once: maximum number of parallel requests
    :return: the tables of each request, in their order
    """
    count = max(-(-len(tables) // most), min(at_once, len(tables) // TABLES_EACH), 1)
    weights = [TABLE_WEIGHT + (number if number <= SMALL_ROWS else 0) for number in rows] or [TABLE_WEIGHT] * len(tables)
    groups: list[list[int]] = [[] for _ in range(count)]
    totals = [0] * count
    # The largest table first, each to the request with the least work so far.
    for place in sorted(range(len(tables)), key=weights.__getitem__, reverse=True):
        number = min((number for number in range(count) if len(groups[number]) < most), key=totals.__getitem__)
        groups[number].append(place)
        totals[number] += weights[place]
    return [[tables[place] for place in sorted(group)] for group in groups]


def _estimated_rows(database: Database, targets: Sequence[Target]) -> Sequence[int]:
    """Return the estimated number of rows of each target, and thus of its source, if there are enough for several requests."""
    if len(targets) < 2 * TABLES_EACH:
        return ()
    with database.connect() as connection, database.translate_errors():
        return database.catalog.estimated_rows(connection, [target.table for target in targets])


def _find_unchanged(
    client: SyncClient, database: Database, targets: Sequence[Target], probes: Mapping[str, str]
) -> dict[str, int]:
    request = DescribeTables(
        table_slices=tuple(requested_slice_for(target) for target in targets),
        max_rows=SMALL_ROWS,
        schemes=database.digests.schemes,
        probes=dict(probes),
    )
    unchanged: dict[str, int] = {}
    locked = 0
    with database.connect() as connection, client.describe_tables(request) as answer:
        for table in answer:
            if locked == MAX_LOCKED:
                continue  # read the answer to its end, which keeps the connection to the server
            target = targets[table.number]
            # An error of one table is reported in its own sync.
            with suppress(SyncError):
                try:
                    rows = _equal_rows(database, connection, target, table)
                except LockTimeoutError:
                    locked += 1
                    raise
                if rows is not None:
                    unchanged[target.name] = rows
    return unchanged


def _equal_rows(database: Database, connection: Connection, target: Target, table: AnsweredTable) -> int | None:
    """Return the number of rows if the target equals the source's response; ``None`` if it differs or this is unknown."""
    if table.described is None or table.segments is None:
        return None
    described = table.described
    table_slice = msgspec.structs.replace(map_columns(database, target, described), digest=described.digest)
    if schema_warnings(target, table_slice):
        return None  # compared by itself, it gets them into its report
    gone = target.gone_columns(table_slice.column_names, protocol=2)
    if columns_with_values(database, connection, target.table, gone):
        return None  # there is something to write
    source = read_segments(table.segments)
    with database.translate_errors():
        refuse_null_keys(database, connection, table_slice.table, table_slice.key_columns)
        held = database.digests.digest_segments(connection, table_slice, described.partitioning)
    return None if differing_segments_of(target, source, held) else sum(segment.rows for segment in source.values())
