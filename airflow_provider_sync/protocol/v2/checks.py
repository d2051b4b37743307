"""Check the content of received messages before they are used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.protocol.v1 import MAX_NAME
from airflow_provider_sync.protocol.v2.messages import (
    DIGEST_BYTES,
    MAX_SEGMENTS,
    ColumnDescription,
    Described,
    KeyRange,
    Partitioning,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.types import LogicalKind

_LOWEST, _HIGHEST = -(1 << 63), (1 << 64) - 1  # of any integer column
_MAX_ROWS = 1 << 63
_MAX_BITS = 128
"""Bits of the largest integer of any database; numbers of billions of bits would fill the memory."""

_MAX_SCALE, _MAX_SIZE = 16383, (1 << 32) - 1


def check_described(described: Described, requested_slice: RequestedSlice) -> None:
    """Check the description of a table.

    :param requested_slice: the slice that the client requested
    :raises ProtocolError: for an impossible description, or one with other columns than requested
    """
    names = tuple(column.name for column in described.columns)
    _check_names(names, "column")
    _check_names(described.key, "column of the key")
    if strange := set(described.key) - set(names):
        raise ProtocolError(f"The key has {_listed(sorted(strange))}, which is not among the columns {_listed(names)}.")
    if requested_slice.columns is not None:
        if missing := set(requested_slice.columns) - set(names):
            raise ProtocolError(f"The description lacks columns that were asked for: {_listed(sorted(missing))}.")
        if further := set(names) - set(requested_slice.columns) - set(described.key):
            raise ProtocolError(f"The description has columns that were not asked for: {_listed(sorted(further))}.")
    for column in described.columns:
        _check_type(column)
    if not 0 <= described.rows <= _MAX_ROWS:
        raise ProtocolError(f"A table cannot have {described.rows} rows.")
    check_partitioning(described.partitioning)
    if requested_slice.key_range is not None and described.partitioning.scheme == "key_range":
        low, high = requested_slice.key_range
        if (low is not None and described.partitioning.low < low) or (high is not None and described.partitioning.high > high):
            raise ProtocolError(
                f"Segments reach from {described.partitioning.low} to {described.partitioning.high}, beyond what was asked for."
            )
    if described.partitioning.scheme == "key_range":
        kinds = [column.type.kind for column in described.columns if column.name in described.key]
        if kinds != [LogicalKind.INTEGER]:
            raise ProtocolError(f"Segments are key ranges, but the key ({_listed(described.key)}) is not a single integer.")


def check_partitioning(partitioning: Partitioning) -> None:
    """Check a partitioning.

    :raises ProtocolError: for an impossible number of segments, or impossible keys
    """
    if not 1 <= partitioning.segment_count <= MAX_SEGMENTS:
        raise ProtocolError(f"A table cannot be cut into {partitioning.segment_count} segments, only into 1 to {MAX_SEGMENTS}.")
    if partitioning.scheme != "key_range" and partitioning.segment_count & (partitioning.segment_count - 1):
        raise ProtocolError(f"Segments by hash must be a power of two, not {partitioning.segment_count}.")
    if partitioning.low > partitioning.high + 1 or partitioning.low < _LOWEST or partitioning.high > _HIGHEST:
        raise ProtocolError(f"Segments cannot reach from {partitioning.low} to {partitioning.high}.")


def check_key_range(key_range: KeyRange) -> None:
    """Check a key range.

    :raises ProtocolError: for keys that no integer column can store, and if the lowest is above the highest
    """
    low, high = key_range
    if any(end is not None and not _LOWEST <= end <= _HIGHEST for end in key_range) or (
        low is not None and high is not None and low > high
    ):
        raise ProtocolError(f"There are no keys between {low} and {high}.")


def check_segment_ranges(segment_ranges: Iterable[tuple[int, int]], partitioning: Partitioning) -> None:
    """Check that ranges of segments are within a partitioning, ascending and without overlap.

    :raises ProtocolError: when they are not
    """
    least = 0
    for first, last in segment_ranges:
        if not least <= first <= last < partitioning.segment_count:
            raise ProtocolError(
                f"The range of segments {first} to {last} is out of order, or not of {partitioning.segment_count} segments."
            )
        least = last + 1


def check_segments(segments: Segments, partitioning: Partitioning, *, after: int) -> int:
    """Check a message with digests of segments.

    :param after: the highest segment number of the previous messages; -1 for the first message
    :return: the highest segment number so far
    :raises ProtocolError: for lists of different lengths, and for impossible numbers, counts or sums
    """
    numbers, counts, sums = segments.numbers, segments.counts, segments.sums
    if not len(numbers) == len(counts) == len(sums):
        raise ProtocolError(f"{len(numbers)} segments come with {len(counts)} counts and {len(sums)} sums.")
    for number, count, total in zip(numbers, counts, sums, strict=True):
        if not after < number < partitioning.segment_count:
            raise ProtocolError(f"Segment {number} is out of order, or not one of {partitioning.segment_count}.")
        if not 0 < count <= _MAX_ROWS or not 0 <= total < 1 << 64:
            raise ProtocolError(f"Segment {number} cannot have {count} rows with the sum {total}.")
        after = number
    return after


def check_row_digests(message: RowDigests) -> None:
    """Check that a message has as many keys and digests as it states; decoding checks the keys themselves.

    :raises ProtocolError: when it does not
    """
    _check_lines(message.keys, message.count, "keys")
    if len(message.digests) != message.count * DIGEST_BYTES:
        raise ProtocolError(
            f"{message.count} rows come with {len(message.digests)} bytes of digests, not {DIGEST_BYTES} for each."
        )


def check_rows(message: Rows, columns: int | None = None) -> None:
    """Check that a message has as many rows as it states and, if ``columns`` is given, that each has as many fields.

    :param columns: number of columns of each row; ``None`` if it is unknown
    :raises ProtocolError: when it does not
    """
    _check_lines(message.data, message.count, "lines")
    if columns is not None and message.data.count(b"\t") != message.count * (columns - 1):
        raise ProtocolError(f"{message.count} rows do not have {columns} columns each.")


def _check_lines(data: bytes, count: int, what: str) -> None:
    lines = data.count(b"\n")
    if lines != count or data[-1:] not in (b"", b"\n"):
        raise ProtocolError(f"{count} rows come with {lines} {what}, or an incomplete line.")


def _check_names(names: Sequence[str], what: str) -> None:
    if not names:
        raise ProtocolError(f"The table is described without any {what}.")
    for name in names:
        if not name or len(name) > MAX_NAME or "\0" in name:
            raise ProtocolError(f"{_shortened(name)!r} cannot be the name of a {what}.")
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise ProtocolError(f"The table is described with the {what} {name!r} {times} times.")


def _check_type(column: ColumnDescription) -> None:
    scale, dialect = column.type.scale, column.type.json_dialect
    if scale is not None and not 0 <= scale <= _MAX_SCALE:
        raise ProtocolError(f"Column {column.name!r} cannot have {scale} digits after the point.")
    for what, size, most in (
        ("bits", column.type.bits, _MAX_BITS),
        ("digits", column.type.precision, _MAX_SIZE),
        ("characters", column.type.length, _MAX_SIZE),
    ):
        if size is not None and not 0 <= size <= most:
            raise ProtocolError(f"Column {column.name!r} cannot have {size} {what}.")
    if dialect is not None and not 0 < len(dialect) <= MAX_NAME:
        raise ProtocolError(f"Column {column.name!r} cannot have JSON of the dialect {_shortened(dialect)!r}.")


def _listed(names: Sequence[str]) -> str:
    return _shortened(", ".join(map(repr, names)))


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_NAME else text[:MAX_NAME] + "…"
