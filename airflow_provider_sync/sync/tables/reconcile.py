"""Where two tables differ, from what both sides tell of themselves: segments first, then rows. No I/O.

::

    segments of the source   0:(128 rows, sum a)  1:(128, b)  2:(127, c)  …
    segments of the target   0:(128 rows, sum a)  1:(128, x)              …
                                                  └──────┬──────┘
    rows of the segments that differ         key 130: digest p | q  -> update
                                             key 140:        r | -  -> insert
                                             key 150:        - | s  -> delete
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from airflow_provider_sync.databases.table_slice import SegmentDigest

Key = tuple[str, ...]


class RowChanges(msgspec.Struct, frozen=True, kw_only=True):
    """Keys of the rows that make the target equal to the source.

    :ivar inserted: keys that only the source has
    :ivar updated: keys whose rows differ
    :ivar deleted: keys that only the target has
    """

    inserted: tuple[Key, ...] = ()
    updated: tuple[Key, ...] = ()
    deleted: tuple[Key, ...] = ()

    def __len__(self) -> int:
        return len(self.inserted) + len(self.updated) + len(self.deleted)

    @property
    def wanted(self) -> tuple[Key, ...]:
        """Keys of the rows to fetch from the source."""
        return (*self.inserted, *self.updated)


def differing_segments(source: Mapping[int, SegmentDigest], target: Mapping[int, SegmentDigest]) -> list[int]:
    """Return the numbers of the segments that differ, ascending."""
    return sorted(number for number in source.keys() | target.keys() if source.get(number) != target.get(number))


def segment_ranges_of(numbers: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Join ascending numbers to stretches, first and last."""
    segment_ranges: list[tuple[int, int]] = []
    for number in numbers:
        if segment_ranges and segment_ranges[-1][1] == number - 1:
            segment_ranges[-1] = (segment_ranges[-1][0], number)
        else:
            segment_ranges.append((number, number))
    return tuple(segment_ranges)


def in_slices(numbers: Sequence[int], rows: Mapping[int, int], most: int) -> Iterable[Sequence[int]]:
    """Cut segments into slices of about ``most`` rows, so that no request asks for more than fits in memory.

    :param rows: how many rows a segment has on both sides together
    """
    begin, held = 0, 0
    for position, number in enumerate(numbers):
        held += rows.get(number, 0)
        if held >= most:
            yield numbers[begin : position + 1]
            begin, held = position + 1, 0
    if begin < len(numbers):
        yield numbers[begin:]


def changed_rows(source: Mapping[Key, int], target: Mapping[Key, int]) -> RowChanges:
    """Compare the digests of rows, by key."""
    return RowChanges(
        inserted=tuple(key for key in source if key not in target),
        updated=tuple(key for key, digest in source.items() if target.get(key, digest) != digest),
        deleted=tuple(key for key in target if key not in source),
    )


def joined(parts: Iterable[RowChanges]) -> RowChanges:
    """Put the changes of several slices together.

    A changed row of a table that is cut by row digests leaves one bucket and enters another, so that it is deleted in one
    slice and inserted in the next: together, that is an update.
    """
    inserted: dict[Key, None] = {}
    updated: dict[Key, None] = {}
    deleted: dict[Key, None] = {}
    for part in parts:
        inserted.update(dict.fromkeys(part.inserted))
        updated.update(dict.fromkeys(part.updated))
        deleted.update(dict.fromkeys(part.deleted))
    moved = inserted.keys() & deleted.keys()
    return RowChanges(
        inserted=tuple(key for key in inserted if key not in moved),
        updated=(*updated, *(key for key in inserted if key in moved)),
        deleted=tuple(key for key in deleted if key not in moved),
    )
