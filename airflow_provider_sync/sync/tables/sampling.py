"""How finely two tables are best cut, by a look at a few of their segments.

::

    16 segments ── none or one differs ──────────────────────────────▶ segments of the usual size
                └─ several do ─── their rows ── few in each differ ──▶ segments of few rows
                                             └─ most do ─────────────▶ segments of the usual size, and then all rows

A look takes two statements for each segment, and spares a scan on each side where changes are scattered. Segments that cannot be
looked up by an index are compared first, all of them, and then cut again.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import CanonicalColumn, TableSlice
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.sync.tables.differences import FINEST_PARTS, SLICE_ROWS, Comparison, compare_segments, compare_slice
from airflow_provider_sync.sync.tables.target import Target

SAMPLE_SEGMENTS = 16

SEVERAL = 2
"""Segments of a sample that differ, from which on changes may be scattered all over."""

MANY_ROWS = SLICE_ROWS // 2
"""Rows below which digesting all of them takes no longer than a look would."""

FINE_ROWS = 16
"""Rows that a segment should have where nearly all segments of the usual size differ, each in few rows."""

ROW_COST = 2.5
"""How many times as long a row takes that is compared by itself as one that is added to its segment; measured."""

FINE_COST = 0.1
"""What fine segments take more than those of the usual size, in scans."""

WHOLE_ABOVE = 0.5
"""Share of the source's rows above which the whole table is sent, rather than those rows by their keys."""


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What the rows of a few segments tell of many.

    :ivar wanted: share of the source's rows that would be fetched
    :ivar changed: how many rows differ, estimated
    """

    wanted: float
    changed: float


def compare_tables(client: SyncClient, database: Database, target: Target) -> Comparison:
    """Compare the segments of both sides, cut as finely as pays.

    :raises TableError: when the target cannot hold what the source has
    """
    looked = _look(client, database, target)
    if looked is None:
        return compare_segments(client, database, target)
    if not looked.described.sample:
        return looked
    return compare_segments(client, database, target, _advised_grid(client, database, looked))


def tables_differ(client: SyncClient, database: Database, target: Target) -> bool:
    """Whether source and target differ: a look may tell, or else all segments do."""
    looked = _look(client, database, target)
    if looked is not None and (looked.differing or not looked.described.sample):
        return bool(looked.differing)
    return bool(compare_segments(client, database, target).differing)


def sample_changes(client: SyncClient, database: Database, compared: Comparison) -> Sample | None:
    """Look into a few of the segments that differ; ``None`` where looking into all of them takes little."""
    numbers = compared.differing
    step = len(numbers) // SAMPLE_SEGMENTS
    rows = sum(compared.rows_in(numbers).values())
    if step < 2 or rows <= compared.source_rows:
        return None
    return _looked_into(client, database, compared, numbers[::step], among=numbers[::step], rows=rows)


def compare_scattered(client: SyncClient, database: Database, compared: Comparison, sample: Sample) -> Comparison:
    """Cut again where few rows differ in each of nearly all segments, so that most rows need not be looked at by themselves.

    One more scan pays where it spares the digests of enough rows.
    """
    digested = sum(compared.rows_in(compared.differing).values()) / 2
    partitioning = _finer_grid(compared.partitioning, compared.source_rows, digested, sample, cost=1)
    return compared if partitioning is None else compare_segments(client, database, compared.target, partitioning)


def _look(client: SyncClient, database: Database, target: Target) -> Comparison | None:
    """Compare a sample of the segments, or all where the source has none; ``None`` where a look cannot pay."""
    columns = [target.table.column(name) for name in target.key]
    types = [database.catalog.logical_type(column) for column in columns]
    key = tuple(CanonicalColumn(column=column, type=kind) for column, kind in zip(columns, types, strict=True) if kind)
    table_slice = TableSlice(table=target.table, columns=key, key=key, key_range=target.key_range)
    if None in types or target.options.window is not None or not table_slice.has_indexed_ranges:
        return None
    with database.connect() as connection:
        if database.digests.estimate_rows(connection, table_slice) < MANY_ROWS:
            return None
    return compare_segments(client, database, target, sample=SAMPLE_SEGMENTS)


def _advised_grid(client: SyncClient, database: Database, looked: Comparison) -> Partitioning | None:
    """Return the partitioning that a look speaks for, if not the one that the source would choose anew."""
    numbers, seen = looked.differing, looked.source.keys() | looked.own.keys()
    if len(numbers) < SEVERAL:
        return None
    rows = looked.described.rows
    sample = _looked_into(client, database, looked, numbers, among=tuple(seen), rows=2 * rows)
    if sample.wanted > WHOLE_ABOVE:
        return None
    return _finer_grid(looked.partitioning, rows, rows * len(numbers) / len(seen), sample, cost=FINE_COST)


def _looked_into(
    client: SyncClient, database: Database, compared: Comparison, numbers: Sequence[int], *, among: Sequence[int], rows: float
) -> Sample:
    """Compare the rows of some segments.

    :param among: the segments that these stand for, which are equal but for them
    :param rows: rows of all that these stand for in their turn, on both sides together
    """
    changes = compare_slice(client, database, compared, numbers).changes
    there = sum(compared.source[number].rows for number in among if number in compared.source)
    seen = sum(compared.rows_in(among).values())
    return Sample(wanted=len(changes.wanted) / max(1, there), changed=len(changes) * rows / seen)


def _finer_grid(partitioning: Partitioning, rows: int, digested: float, sample: Sample, *, cost: float) -> Partitioning | None:
    """Return a finer partitioning, if it pays.

    :param rows: of the source
    :param digested: of them, so many would be compared by themselves as the tables are cut now
    :param cost: of the finer partitioning, in scans
    """
    parts = min(FINEST_PARTS, 1 << (rows // FINE_ROWS).bit_length())
    if rows < MANY_ROWS or parts <= partitioning.segment_count:
        return None
    then = rows * (1 - (1 - 1 / parts) ** sample.changed)
    return msgspec.structs.replace(partitioning, segment_count=parts) if (digested - then) * ROW_COST > cost * rows else None
