"""Arithmetic of segment digests: compare them, add and subtract rows, find a row's segment. No I/O.

::

    segments of the source   0:(128 rows, sum a)  1:(128, b)  2:(127, c)  …
    segments of the target   0:(128 rows, sum a)  1:(128, x)  2:(127, c)  …
                                                  └── differs: its rows are compared by :mod:`.row_changes`
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from airflow_provider_sync.databases.table_slice import SUM_MODULUS, Key, SegmentDigest
from airflow_provider_sync.protocol.v2.messages import DIGEST_BYTES, Partitioning
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS, key_hash

NO_ROWS = SegmentDigest(0, 0)
"""The digest of a segment without rows."""

SegmentDigests = Mapping[int, SegmentDigest]
"""Digests by the numbers of the segments; those without rows are left out."""

_INTEGER = re.compile("-?[0-9]+")


def differing_segments(source: SegmentDigests, target: SegmentDigests) -> list[int]:
    """Return the numbers of the segments that differ, ascending."""
    return sorted(number for number in source.keys() | target.keys() if source.get(number) != target.get(number))


def segment_ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Merge ascending numbers into ranges of first and last number."""
    segment_ranges: list[tuple[int, int]] = []
    for number in numbers:
        if segment_ranges and segment_ranges[-1][1] == number - 1:
            segment_ranges[-1] = (segment_ranges[-1][0], number)
        else:
            segment_ranges.append((number, number))
    return tuple(segment_ranges)


def ranges_at_source(segment_ranges: Iterable[tuple[int, int]], partitioning: Partitioning) -> Iterator[tuple[int, int]]:
    """Clip segment ranges to the segments of the source; only the target has rows below its lowest and above its highest key."""
    for first, last in segment_ranges:
        if first < partitioning.segment_count and last >= 0:
            yield max(first, 0), min(last, partitioning.segment_count - 1)


def segment_of(key: Sequence[str], digest: int, partitioning: Partitioning) -> int:
    """Return the number of the segment that contains a row.

    A key that is no integer is beyond all ranges, as in the databases' own computation.

    :param digest: digest of the row, all 60 bits
    """
    if partitioning.scheme == "row_hash":
        return digest >> partitioning.shift
    if partitioning.scheme == "key_hash":
        return key_hash(text.encode() for text in key) >> partitioning.shift
    if not _INTEGER.fullmatch(key[0]):
        return partitioning.segment_count
    number = int(key[0])
    if number < partitioning.low:
        return -1
    return partitioning.segment_count if number > partitioning.high else (number - partitioning.low) // partitioning.width


def digest_by_segment(partitioning: Partitioning, rows: Iterable[tuple[Key, int]]) -> dict[int, SegmentDigest]:
    """Sum the 60-bit digests of rows by segment."""
    segments: dict[int, SegmentDigest] = {}
    for key, digest in rows:
        number = segment_of(key, digest, partitioning)
        sum_before = segments.get(number, NO_ROWS)
        segments[number] = SegmentDigest(sum_before.rows + 1, (sum_before.sum + digest) % SUM_MODULUS)
    return segments


def add_segments(one: SegmentDigests, other: SegmentDigests) -> dict[int, SegmentDigest]:
    """Add digests by segment; leave out segments that are then without rows."""
    return _combine(one, other, 1)


def subtract_segments(one: SegmentDigests, other: SegmentDigests) -> dict[int, SegmentDigest]:
    """Subtract the second digests from the first by segment; leave out segments that are then without rows."""
    return _combine(one, other, -1)


def wire_digest(digest: int) -> int:
    """Truncate a row's 60-bit digest to the 48 bits that are sent over the wire."""
    return digest >> (DIGEST_BITS - 8 * DIGEST_BYTES)


def segment_of_wire(digest: int, partitioning: Partitioning) -> int:
    """Return the number of the segment that contains a row, with partitioning by row hash.

    :param digest: digest of the row, as sent over the wire
    """
    return digest << (DIGEST_BITS - 8 * DIGEST_BYTES) >> partitioning.shift


def _combine(one: SegmentDigests, other: SegmentDigests, sign: int) -> dict[int, SegmentDigest]:
    segments = dict(one)
    for number, digest in other.items():
        before = segments.get(number, NO_ROWS)
        segments[number] = SegmentDigest.of(before.rows + sign * digest.rows, before.sum + sign * digest.sum)
    return {number: digest for number, digest in segments.items() if digest != NO_ROWS}
