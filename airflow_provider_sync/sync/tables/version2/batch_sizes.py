"""How much of a table is compared, held in memory, loaded or left to one task at once. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from airflow_provider_sync.protocol.v2.messages import Scheme

SLICE_ROWS = 100_000
"""Rows of each side whose digests are held in memory at once: about 25 MB."""

MAX_DIGESTS = 4_000_000
"""Row digests of the source that one answer may have, where a single segment holds so many rows: about 1 GB of memory."""

MAX_KEY_BYTES = 512 * 1024 * 1024
"""Bytes of keys that may come with them, for keys that are long texts."""

LOAD_BYTES = 32 * 1024 * 1024
"""Bytes of rows that are loaded into the staging table in one transaction: what a cut connection costs."""

MAX_RANGES = 64
"""Key ranges that a resumed download fetches whole, one request each; where more are missing, rows are compared instead."""

TASK_ROWS = 50_000
"""Rows to compare, on both sides together, below which a slice is not worth a task of its own."""


def rows_at_once(scheme: Scheme) -> int:
    """Return the rows of both sides together that make a slice; twice as many where each slice costs a scan."""
    return (2 if scheme == "key_range" else 4) * SLICE_ROWS


def cut_slices(numbers: Sequence[int], rows: Mapping[int, int], at_once: int) -> Iterator[Sequence[int]]:
    """Cut segments into slices of about ``at_once`` rows, so that no request asks for more than fits in memory.

    :param numbers: of the segments, ascending
    :param rows: how many rows a segment has on both sides together
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
    """Return how many row digests are taken for so many announced rows: some rows may have come meanwhile."""
    return 2 * announced_rows + SLICE_ROWS


def task_count(rows: int, wanted: int, scheme: Scheme) -> int:
    """Return among how many tasks the download of a table is divided: one where its key has no ranges, or few rows differ.

    :param rows: to compare or fetch, on both sides together
    :param wanted: at most so many
    """
    return 1 if scheme != "key_range" else max(1, min(wanted, -(-rows // TASK_ROWS)))


def ranges_to_fetch(missing: Sequence[tuple[int, int]]) -> Sequence[tuple[int, int]]:
    """Return the ranges of segments that a resumed download fetches whole; none where there are too many.

    :param missing: ranges of which the staging table has no row
    """
    return missing if len(missing) <= MAX_RANGES else ()
