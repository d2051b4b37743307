"""Digest a few segments spread evenly over a table: a probe that shows, without a scan, whether most of the table differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.partitioning import intersect_key_ranges, key_range_of
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.protocol.v2.messages import Partitioning


def has_indexed_segments(table_slice: TableSlice, partitioning: Partitioning) -> bool:
    """Whether an index can find the rows of a single segment."""
    return partitioning.scheme == "key_range" and table_slice.has_indexed_ranges


def sample_numbers(partitioning: Partitioning, size: int) -> Iterable[int]:
    """Return the numbers of at most ``size`` segments; both sides choose the same."""
    step = -(-partitioning.segment_count // size)
    return range(step // 2, partitioning.segment_count, step)


def digest_sample(
    database: Database, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, size: int
) -> Mapping[int, SegmentDigest]:
    """Digest the segments of :func:`sample_numbers` that have rows; with one scan if no index finds them."""
    numbers = sample_numbers(partitioning, size)
    if not has_indexed_segments(table_slice, partitioning):
        every = database.digests.digest_segments(connection, table_slice, partitioning)
        return {number: every[number] for number in numbers if number in every}
    found: dict[int, SegmentDigest] = {}
    for number in numbers:
        key_range = intersect_key_ranges(key_range_of(partitioning, (number, number)), table_slice.key_range)
        found |= database.digests.digest_segments(
            connection, msgspec.structs.replace(table_slice, key_range=key_range), partitioning
        )
    return found
