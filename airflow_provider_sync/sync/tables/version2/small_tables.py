"""Ask about many tables in few requests: which small ones are unchanged, and what those are like that a run makes.

::

    source  ── describe and digest each small table, in one answer ──┐
    target               digest each as its answer arrives ──────────┴─ equal: unchanged ─ anything else: compared by itself

The comparison proves that tables are equal, and nothing else: a table that differs, is large, or cannot be compared is left to
:mod:`.follow_plan`, which finds the rows, or the reason, as if nothing had been asked before.
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
from airflow_provider_sync.exceptions import MissingTableError, SyncError
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
"""Most rows of a table that is digested whole before anything is known of it: a fraction of a second on each side."""

REQUESTS_AT_ONCE = 2
"""Requests that are answered, and compared with the target, at the same time."""

TABLE_WEIGHT = 2_000
"""Rows that take as long to digest as it takes to ask about a table without any."""

TABLES_EACH = 16
"""Fewest tables for which a further request at the same time pays."""


def find_unchanged(client: SyncClient, database: Database, targets: Sequence[Target]) -> Mapping[str, int]:
    """Return how many rows the source has of each table that equals its target; other tables are left out.

    :param targets: where there is only one, or the server speaks only version 1, nothing is asked
    :raises SyncError: when the server cannot be asked, or does not answer as the protocol says
    """
    if len(targets) < 2 or not client.tables_per_request:
        return {}
    # Requests about one snapshot may have to wait for each other.
    at_once = 1 if client.snapshot else REQUESTS_AT_ONCE
    groups = cut_into_requests(targets, client.tables_per_request, _estimated_rows(database, targets), at_once=at_once)
    probes = probes_of(client, database)
    with ThreadPoolExecutor(REQUESTS_AT_ONCE, thread_name_prefix="small-tables") as pool:
        unchanged: dict[str, int] = {}
        for found in pool.map(lambda group: _find_unchanged(client, database, group, probes), groups):
            unchanged.update(found)
        return unchanged


class KnownAhead(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the tables of a run before the first of them is locked, by their names.

    :ivar unchanged: how many rows the source has of each table that equals its target
    :ivar described: what the source says of tables that are to be made
    """

    unchanged: Mapping[str, int] = {}
    described: Mapping[str, Described] = {}


def ask_ahead(client: SyncClient, database: Database, tables: Sequence[TargetTable], *, making: bool = True) -> KnownAhead:
    """Compare and describe the tables in few requests, before each of them is locked and synced by itself.

    What keeps a table, or all of them, from being compared or described is left to who does so by themselves.

    :param making: whether missing targets are made, and described for that
    """
    database = with_row_security(database, tables)
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


def describe_ahead(client: SyncClient, database: Database, tables: Sequence[TargetTable]) -> Mapping[str, Described]:
    """Return what the source says of tables that are to be made, without digests.

    What keeps a table, or all of them, from being described is left to who asks for it by itself; so are tables whose
    descriptions are too many to be kept at once.
    """
    if len(tables) < 2 or not client.tables_per_request:
        return {}
    described = Descriptions()
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
    """Cut the tables into requests that take about the same time: as few as the server allows, or some more to work at once.

    :param most: tables in a request
    :param rows: of the tables, about; 0 where that is not known
    :param at_once: requests that may be at work at the same time
    :return: the tables of each request, in their order
    """
    count = max(-(-len(tables) // most), min(at_once, len(tables) // TABLES_EACH), 1)
    weights = [TABLE_WEIGHT + (number if number <= SMALL_ROWS else 0) for number in rows] or [TABLE_WEIGHT] * len(tables)
    groups: list[list[int]] = [[] for _ in range(count)]
    totals = [0] * count
    # The longest work first, each to the request that has the least so far.
    for place in sorted(range(len(tables)), key=weights.__getitem__, reverse=True):
        number = min((number for number in range(count) if len(groups[number]) < most), key=totals.__getitem__)
        groups[number].append(place)
        totals[number] += weights[place]
    return [[tables[place] for place in sorted(group)] for group in groups]


def _estimated_rows(database: Database, targets: Sequence[Target]) -> Sequence[int]:
    """Return about how many rows the targets have, and thus their sources, if they are enough for several requests."""
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
    with database.connect() as connection, client.describe_tables(request) as answer:
        for table in answer:
            target = targets[table.number]
            # Whatever keeps a table from being compared is reported when it is compared by itself.
            with suppress(SyncError):
                rows = _equal_rows(database, connection, target, table)
                if rows is not None:
                    unchanged[target.name] = rows
    return unchanged


def _equal_rows(database: Database, connection: Connection, target: Target, table: AnsweredTable) -> int | None:
    """Return the number of rows if the target equals what the source answered; ``None`` if it does not, or is not known to."""
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
