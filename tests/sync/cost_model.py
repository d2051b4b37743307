"""What a sync of few changed rows costs as its table grows, by arithmetic alone.

The constants are the program's own; how many bytes a digest takes was measured once, and is checked against a real sync.
"""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_sync.protocol.v2.messages import DIGEST_BYTES
from airflow_provider_sync.server.table_parts import MAX_PARTS, SEGMENT_ROWS
from airflow_provider_sync.sync.differences import FINEST_PARTS, KEYS_PER_REQUEST, MOST_SCANS, SLICE_ROWS

SEGMENT_BYTES = 9
"""Of a segment on the wire: its sum, which does not compress; number and count hardly count."""

KEY_BYTES = {"range": 3, "bucket": 8}
"""Of a key on the wire, compressed: neighbours differ in little."""


@dataclass(frozen=True)
class Cost:
    """What one sync costs.

    :ivar scans: of the source, each of all rows with their digests; the target has as many
    """

    requests: int
    bytes: int
    scans: float


def cost(rows: int, changes: int, scheme: str, *, row_bytes: int = 60) -> Cost:
    """Predict the cost of a sync whose changes are scattered updates.

    :param scheme: ``range`` for a single integer key, ``bucket`` for any other
    :param row_bytes: of a changed row on the wire
    """
    parts = min(MAX_PARTS, 1 << (rows // SEGMENT_ROWS).bit_length())
    found = _within(rows, changes, scheme, parts, row_bytes)
    if scheme == "range" or found.slices <= 2 or 2 * parts > FINEST_PARTS:
        return found.cost
    # Cut again, finer: one more request and scan.
    finer = _within(rows, changes, scheme, FINEST_PARTS, row_bytes)
    once_more = Cost(finer.cost.requests + 1, finer.cost.bytes + parts * SEGMENT_BYTES, finer.cost.scans + 1)
    # Or, where even that would take many scans, the table itself.
    return once_more if finer.slices <= MOST_SCANS else Cost(4, (parts + FINEST_PARTS) * SEGMENT_BYTES + rows * row_bytes, 3)


@dataclass(frozen=True)
class _Found:
    cost: Cost
    slices: int


def _within(rows: int, changes: int, scheme: str, parts: int, row_bytes: int) -> _Found:
    # An updated row leaves one bucket and enters another.
    picked = changes if scheme == "range" else 2 * changes
    touched = parts * (1 - (1 - 1 / parts) ** picked)
    digests = touched * rows / parts
    at_once = (2 if scheme == "range" else 4) * SLICE_ROWS
    slices = max(1, -(-int(2 * digests) // at_once))
    found = Cost(
        requests=1 + 1 + slices + -(-changes // KEYS_PER_REQUEST),
        bytes=int(parts * SEGMENT_BYTES + digests * (DIGEST_BYTES + KEY_BYTES[scheme]) + changes * row_bytes),
        # Ranges are looked up by the key; buckets are found by digesting all rows again.
        scans=1 + (touched / parts if scheme == "range" else slices),
    )
    return _Found(found, slices)
