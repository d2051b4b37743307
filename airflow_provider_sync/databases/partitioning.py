"""Choose the number of a table's segments, their keys, and the key ranges for several tasks. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from airflow_provider_sync.protocol.v2.messages import MAX_SEGMENTS, KeyRange, Partitioning

SEGMENT_ROWS = 128
"""Target rows per segment: for each changed row, the digests of all rows of its segment are sent."""

USUAL_SEGMENTS = 16_384
"""Maximum segments that a source chooses by itself, so that their digests take at most a few hundred KB on the wire."""

SegmentRanges = Sequence[tuple[int, int]]
"""First and last segment number of each range, ascending."""


def segments_for(rows: int, *, each: int) -> int:
    """Return the number of segments for a table with this many rows: a power of two, within the protocol's limit.

    :param each: approximate rows per segment
    """
    return min(MAX_SEGMENTS, 1 << (max(rows, 0) // each).bit_length())


def key_range_of(partitioning: Partitioning, segment_range: tuple[int, int]) -> KeyRange:
    """Return the lowest and highest key of a range of segments.

    :param segment_range: first and last number; segment -1 has all keys below the partitioning, and ``segment_count`` all keys
        above it, so their outer ends are open
    """
    first, last = segment_range
    return (
        None if first < 0 else min(partitioning.high + 1, partitioning.low + first * partitioning.width),
        None
        if last >= partitioning.segment_count
        else min(partitioning.high, partitioning.low + (last + 1) * partitioning.width - 1),
    )


def key_range_conditions(number: str, key_range: KeyRange) -> list[str]:
    """Return SQL conditions for the keys of a range; their literals may exceed 64 bits.

    :param number: SQL expression of the key as a number
    """
    return [f"{number} {sign} {end}" for sign, end in zip((">=", "<="), key_range, strict=True) if end is not None]


def intersect_key_ranges(keys: KeyRange, key_range: KeyRange | None) -> KeyRange:
    """Return the intersection of two key ranges."""
    if key_range is None:
        return keys
    lows, highs = ([end for end in ends if end is not None] for ends in zip(keys, key_range, strict=True))
    return max(lows, default=None), min(highs, default=None)


def missing_segment_ranges(numbers: Sequence[int], held: Collection[int]) -> list[tuple[int, int]]:
    """Return ranges that cover the wanted segments that are not held; a range may include segments neither wanted nor held.

    :param numbers: numbers of the wanted segments, ascending
    :param held: numbers of the segments that already have rows here
    :return: first and last number of each range
    """
    segment_ranges: list[tuple[int, int]] = []
    position = 0
    stops = sorted(held)
    for number in numbers:
        if number in held:
            continue
        begin = position
        while position < len(stops) and stops[position] < number:
            position += 1
        if segment_ranges and begin == position:
            segment_ranges[-1] = (segment_ranges[-1][0], number)
        else:
            segment_ranges.append((number, number))
    return segment_ranges


def cut_key_ranges(
    partitioning: Partitioning, rows: Mapping[int, int], max_ranges: int, *, whole: bool
) -> list[tuple[KeyRange, int]]:
    """Cut a table into key ranges with about equally many rows.

    :param rows: number of rows of the segments to cover, by the segment's number
    :param whole: whether the ranges cover all possible keys, not only those of these segments
    :return: ascending key ranges, each with its number of rows
    """
    total = sum(rows.values())
    groups: list[list[int]] = []
    begun = 0
    for number in sorted(rows):
        # End a range when all ranges so far have their share of the rows.
        if not groups or begun * max_ranges >= total * len(groups):
            groups.append([])
        groups[-1].append(number)
        begun += rows[number]
    ranges = [key_range_of(partitioning, (group[0], group[-1])) for group in groups]
    if whole:
        lows = [low for low, _ in ranges[1:]]
        ranges = list(zip([None, *lows], [*(low - 1 for low in lows if low is not None), None], strict=True))
    return [(keys, sum(rows[number] for number in group)) for keys, group in zip(ranges, groups, strict=True)]
