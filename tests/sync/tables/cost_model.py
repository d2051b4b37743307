"""What a sync of few changed rows costs as its table grows, by arithmetic alone.

The constants are the program's own; how many bytes a digest takes was measured once, and is checked against a real sync.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_sync.databases.slices import SEGMENT_ROWS, USUAL_SEGMENTS
from airflow_provider_sync.protocol.v2.messages import DIGEST_BYTES, MAX_KEYS
from airflow_provider_sync.sync.tables.differences import (
    FILTER_COST,
    FINEST_PARTS,
    MOST_SCANS,
    SLICE_ROWS,
)
from airflow_provider_sync.sync.tables.sampling import FINE_COST, FINE_ROWS, MANY_ROWS, ROW_COST, SAMPLE_SEGMENTS, SEVERAL

SEGMENT_BYTES = 9
"""Of a segment on the wire: its sum, which does not compress; number and count hardly count."""

KEY_BYTES = {"key_range": 3, "key_hash": 4, "row_hash": 4}
"""Of a key on the wire, compressed: neighbours differ in little, and texts of one pattern in their numbers."""

LOOKING = {"key_range": 0, "key_hash": FILTER_COST, "row_hash": 1}
"""Scans that it takes to find the rows of some segments."""


@dataclass(frozen=True)
class Cost:
    """What one sync costs.

    :ivar scans: of the source, each of all rows with their digests; the target has as many
    """

    requests: int
    bytes: int
    scans: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.requests + other.requests, self.bytes + other.bytes, self.scans + other.scans)


def cost(rows: int, changes: int, scheme: str, *, row_bytes: int = 60) -> Cost:
    """Predict the cost of a sync whose changes are scattered updates.

    :param scheme: ``range`` for a single integer key; for any other ``key``, or ``bucket`` where a side cannot hash keys
    :param row_bytes: of a changed row on the wire
    """
    parts = min(USUAL_SEGMENTS, 1 << (rows // SEGMENT_ROWS).bit_length())
    found = _within(rows, changes, scheme, parts, row_bytes)
    if scheme == "key_range" and rows >= MANY_ROWS:
        return _after_a_look(found, rows, changes, parts, row_bytes)
    if found.slices * LOOKING[scheme] <= 2 or 2 * parts > FINEST_PARTS:
        return found.cost if scheme == "row_hash" else _scattered(found, rows, changes, scheme, parts, row_bytes)
    # Cut again, finer: one more request and scan.
    finer = _within(rows, changes, scheme, FINEST_PARTS, row_bytes)
    once_more = Cost(finer.cost.requests + 1, finer.cost.bytes + parts * SEGMENT_BYTES, finer.cost.scans + 1)
    # Or, where even that would take many scans, the table itself.
    return (
        once_more
        if finer.slices * LOOKING[scheme] <= MOST_SCANS
        else Cost(4, (parts + FINEST_PARTS) * SEGMENT_BYTES + rows * row_bytes, 3)
    )


@dataclass(frozen=True)
class _Found:
    cost: Cost
    slices: int
    digests: float


def _scattered(found: _Found, rows: int, changes: int, scheme: str, parts: int, row_bytes: int) -> Cost:
    """Add what a sample of the segments that differ costs, and the finer segments where they pay."""
    touched = found.digests * parts / rows
    if touched < 2 * SAMPLE_SEGMENTS or 2 * found.digests <= rows:
        return found.cost
    sample = _rows_of(SAMPLE_SEGMENTS + 1, rows, scheme, parts)
    finer = _finer(found, rows, changes, scheme, parts, row_bytes, cost=1)
    return sample + (found.cost if finer is None else finer.cost + Cost(1, parts * SEGMENT_BYTES, 1))


def _after_a_look(found: _Found, rows: int, changes: int, parts: int, row_bytes: int) -> Cost:
    """Add what a sample of all segments costs, and take the finer ones at once where they pay."""
    look = Cost(1, SAMPLE_SEGMENTS * SEGMENT_BYTES, SAMPLE_SEGMENTS / parts)
    if SAMPLE_SEGMENTS * found.digests < SEVERAL * rows:
        return look + found.cost
    look += _rows_of(SAMPLE_SEGMENTS * found.digests / rows, rows, "key_range", parts)
    finer = _finer(found, rows, changes, "key_range", parts, row_bytes, cost=FINE_COST)
    return look + (_scattered(found, rows, changes, "key_range", parts, row_bytes) if finer is None else finer.cost)


def _finer(found: _Found, rows: int, changes: int, scheme: str, parts: int, row_bytes: int, *, cost: float) -> _Found | None:
    finest = min(FINEST_PARTS, 1 << (rows // FINE_ROWS).bit_length())
    finer = _within(rows, changes, scheme, finest, row_bytes)
    pays = rows >= MANY_ROWS and finest > parts and (found.digests - finer.digests) * ROW_COST > cost * rows
    return finer if pays else None


def _rows_of(segments: float, rows: int, scheme: str, parts: int) -> Cost:
    """Return what the digests of the rows of some segments cost."""
    return Cost(1, int(segments * rows / parts * (DIGEST_BYTES + KEY_BYTES[scheme])), LOOKING[scheme])


def _within(rows: int, changes: int, scheme: str, parts: int, row_bytes: int) -> _Found:
    # An updated row leaves one bucket and enters another.
    picked = 2 * changes if scheme == "row_hash" else changes
    touched = parts * (1 - (1 - 1 / parts) ** picked)
    digests = touched * rows / parts
    at_once = (2 if scheme == "key_range" else 4) * SLICE_ROWS
    slices = max(1, -(-int(2 * digests) // at_once))
    found = Cost(
        requests=1 + 1 + slices + -(-changes // MAX_KEYS),
        bytes=int(parts * SEGMENT_BYTES + digests * (DIGEST_BYTES + KEY_BYTES[scheme]) + changes * row_bytes),
        # Ranges are looked up by the key, hashes of keys by a scan that digests no other row, buckets by digesting all again.
        scans=1 + LOOKING[scheme] * slices + (scheme != "row_hash") * touched / parts,
    )
    return _Found(found, slices, digests)
