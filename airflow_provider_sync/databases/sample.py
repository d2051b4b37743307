"""A few segments of a table, spread evenly: they tell, before a whole scan, whether two tables differ all over."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.canonical import Part, SegmentDigest
from airflow_provider_sync.databases.slices import keys_of, narrowed
from airflow_provider_sync.protocol.v2.messages import Grid


def has_sample(part: Part, grid: Grid) -> bool:
    """Whether single segments can be looked up by an index."""
    return grid.scheme == "range" and part.has_indexed_ranges


def sampled(grid: Grid, most: int) -> Iterable[int]:
    """Return the numbers of at most ``most`` segments, the same on both sides."""
    step = -(-grid.parts // most)
    return range(step // 2, grid.parts, step)


def digest_sample(database: Database, connection: Connection, part: Part, grid: Grid, most: int) -> Mapping[int, SegmentDigest]:
    """Digest the segments that :func:`sampled` names, without those that have no rows; by one scan where there is no index."""
    numbers = sampled(grid, most)
    if not has_sample(part, grid):
        every = database.digest_segments(connection, part, grid)
        return {number: every[number] for number in numbers if number in every}
    found: dict[int, SegmentDigest] = {}
    for number in numbers:
        between = narrowed(keys_of(grid, (number, number)), part.between)
        found |= database.digest_segments(connection, msgspec.structs.replace(part, between=between), grid)
    return found
