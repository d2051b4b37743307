"""Limits on the rows that are compared, held in memory, loaded or given to one task at once. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_sync.protocol.v2.messages import Scheme

SLICE_ROWS = 100_000
"""Rows of each side whose digests are held in memory at once: about 25 MB."""

MAX_DIGESTS = 4_000_000
"""Maximum number of row digests in one response, for a single segment with so many rows: about 1 GB of memory."""

MAX_KEY_BYTES = 512 * 1024 * 1024
"""Maximum size, in bytes, of the keys in one response, for keys that are long texts."""

LOAD_BYTES = 32 * 1024 * 1024
"""Bytes of rows loaded into the staging table in one transaction, and so lost if the connection is cut."""

MAX_RANGES = 64
"""Maximum number of missing key ranges that a resumed download fetches, one request each; with more, it compares rows instead."""

TASK_ROWS = 50_000
"""Minimum number of rows to compare, on both sides together, for a separate task."""


def rows_at_once(scheme: Scheme) -> int:
    """Return the number of rows of a slice, on both sides together; twice as many if each slice costs a scan."""
    return (2 if scheme == "key_range" else 4) * SLICE_ROWS


def cut_slices(numbers: Sequence[int], rows: Mapping[int, int], at_once: int) -> Iterator[Sequence[int]]:
    """Group segments into slices of about ``at_once`` rows, so that no response exceeds memory.

    :param numbers: numbers of the segments, ascending
    :param rows: number of rows of each segment, on both sides together
    """
    begin, held = 0, 0
    for position, number in enumerate(numbers):
        held += rows.get(number, 0)
        if held >= at_once:
            yield numbers[begin : position + 1]
            begin, held = position + 1, 0
    if begin < len(numbers):
        yield numbers[begin:]


def max_digests(announced_rows: int) -> int:
    """Return how many row digests to accept for a number of announced rows, since rows may have been inserted in the meantime."""
    return 2 * announced_rows + SLICE_ROWS


def task_count(rows: int, wanted: int, scheme: Scheme) -> int:
    """Return the number of tasks for the download of a table: one if its key has no ranges, or few rows differ.

    :param rows: number of rows to compare or fetch, on both sides together
    :param wanted: maximum number of tasks
    """
    return 1 if scheme != "key_range" else max(1, min(wanted, -(-rows // TASK_ROWS)))


def ranges_to_fetch(missing: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the segment ranges that a resumed download fetches without comparing rows; none if there are too many.

    :param missing: segment ranges without any staged row
    """
    return missing if len(missing) <= MAX_RANGES else ()
