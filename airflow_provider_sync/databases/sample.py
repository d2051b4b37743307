"""A few segments of a table, spread evenly: they tell, before a whole scan, whether two tables differ all over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.slices import keys_of, narrowed
from airflow_provider_sync.databases.table_slice import SegmentDigest, TableSlice
from airflow_provider_sync.protocol.v2.messages import Partitioning


def has_sample(table_slice: TableSlice, partitioning: Partitioning) -> bool:
    """Whether single segments can be looked up by an index."""
    return partitioning.scheme == "key_range" and table_slice.has_indexed_ranges


def sampled(partitioning: Partitioning, most: int) -> Iterable[int]:
    """Return the numbers of at most ``most`` segments, the same on both sides."""
    step = -(-partitioning.segment_count // most)
    return range(step // 2, partitioning.segment_count, step)


def digest_sample(
    database: Database, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, most: int
) -> Mapping[int, SegmentDigest]:
    """Digest the segments that :func:`sampled` names, without those that have no rows; by one scan where there is no index."""
    numbers = sampled(partitioning, most)
    if not has_sample(table_slice, partitioning):
        every = database.digests.digest_segments(connection, table_slice, partitioning)
        return {number: every[number] for number in numbers if number in every}
    found: dict[int, SegmentDigest] = {}
    for number in numbers:
        key_range = narrowed(keys_of(partitioning, (number, number)), table_slice.key_range)
        found |= database.digests.digest_segments(
            connection, msgspec.structs.replace(table_slice, key_range=key_range), partitioning
        )
    return found
