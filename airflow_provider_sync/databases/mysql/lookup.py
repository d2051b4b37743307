"""Build conditions that select rows on MySQL and MariaDB by key, segment or window, and can use indexes.

Canonical texts come from the other side, so statements contain them only as checked or hexadecimal literals.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from airflow_provider_sync.databases.mysql.row_text import key_number
from airflow_provider_sync.databases.partitioning import SegmentRanges, key_range_conditions, key_range_of
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.types import LogicalKind

_MAX_KEYS = 900
"""Maximum keys in one statement; from 1,000 on, MariaDB converts the list to a temporary table."""

_MAX_RANGES = 30
"""Maximum ranges in one statement, since each row that is read is compared with all of them."""

_INTEGER = re.compile(r"-?[0-9]{1,65}")
_DECIMAL = re.compile(r"-?[0-9]{1,65}(?:\.[0-9]{1,65})?")
_FLOAT = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?")
_TIME_TEXT = re.compile(r"[-0-9:. ]{1,40}")
_HEXADECIMAL = re.compile(r"(?:[0-9a-f]{2})*")

_NUMBERS = {
    **dict.fromkeys((Kind.INTEGER, Kind.BIT, Kind.YEAR), _INTEGER),
    Kind.DECIMAL: _DECIMAL,
    Kind.FLOAT: _FLOAT,
    Kind.DOUBLE: _FLOAT,
}
_TIME_KINDS = frozenset({Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP})


def literal(column: Column, text: str) -> str | None:
    """Return a canonical text as a literal of the column's type; ``None`` if no value of the type has that text."""
    if pattern := _NUMBERS.get(column.kind):
        return text if pattern.fullmatch(text) else None
    if column.kind in _TIME_KINDS:
        return f"'{text}'" if _TIME_TEXT.fullmatch(text) else None
    if column.kind is Kind.BINARY:
        return f"x'{text}'" if _HEXADECIMAL.fullmatch(text) else None
    try:
        return f"_utf8mb4 x'{text.encode().hex()}'"
    except UnicodeEncodeError:
        return None


def in_window(table_slice: TableSlice, quote: Callable[[str], str]) -> str:
    """Return the condition of the slice: its window, its key range, and current rows only; ``TRUE`` if it has no condition.

    :raises TableError: if a bound is not a value of the window's column
    """
    conditions: list[str] = []
    if table_slice.key_range is not None:
        key = table_slice.key[0].column
        conditions += key_range_conditions(key_number(key, quote(key.name)), table_slice.key_range)
    if ended_at := table_slice.table.ended_at:
        conditions.append(f"{quote(ended_at.name)} IS NULL")
    if table_slice.window is None:
        return " AND ".join(conditions) or "TRUE"
    column = table_slice.table.column(table_slice.window.column)
    bounds = [literal(column, text) for text in (table_slice.window.start, table_slice.window.end)]
    if None in bounds:
        raise TableError(
            f"Table {table_slice.table.label!r}: the window from {table_slice.window.start!r} to {table_slice.window.end!r} does"
            f" not fit column {column.name!r} ({column.sql_type}). Write both bounds as the column's values are written."
        )
    name = quote(column.name)
    return " AND ".join([*conditions, f"({name} >= {bounds[0]} AND {name} < {bounds[1]})"])


def in_segment_ranges(key: Column, name: str, partitioning: Partitioning, segment_ranges: SegmentRanges) -> Iterator[str]:
    """Yield conditions for ranges of segments of a partitioning by key range, at most 30 ranges each, in order.

    :param name: the quoted key column
    """
    number = key_number(key, name)
    conditions = []
    for segment_range in segment_ranges:
        low, high = key_range_of(partitioning, segment_range)
        if low is None or high is None or low <= high:
            conditions.append(f"({' AND '.join(key_range_conditions(number, (low, high))) or 'TRUE'})")
    for start in range(0, len(conditions), _MAX_RANGES):
        yield f"({' OR '.join(conditions[start : start + _MAX_RANGES])})"


def in_hash_segments(hashed: str, partitioning: Partitioning, segment_ranges: SegmentRanges) -> str:
    """Return the condition that a row is in one of these segments of a partitioning by hash; true if the digest is NULL.

    :param hashed: expression of the row's digest, or of its key's hash
    """
    numbers = [
        number for first, last in segment_ranges for number in range(max(first, 0), min(last, partitioning.segment_count - 1) + 1)
    ]
    if len(numbers) >= partitioning.segment_count:
        return "TRUE"
    if not numbers:
        return "FALSE"
    # WHERE computes the digest once per row; SELECT computes it again, but only for matching rows.
    return f"IFNULL({hashed} >> {partitioning.shift}, {numbers[0]}) IN ({', '.join(map(str, numbers))})"


def by_keys(key: Sequence[CanonicalColumn], quote: Callable[[str], str], keys: Keys, *, room: int) -> Iterator[tuple[str, Keys]]:
    """Yield conditions that each select the rows with some hundred of these keys, together with these keys.

    The conditions also select rows whose keys are equal by collation but have other bytes.

    :param room: maximum characters of a condition; a single key may exceed it
    """
    names = [quote(column.column.name) for column in key]
    some: list[tuple[str, ...]] = []
    conditions: list[str] = []
    size = 0
    for texts in dict.fromkeys(keys):
        constants = [_key_literal(column, text) for column, text in zip(key, texts, strict=True)]
        condition = _equals(names, constants)
        if some and (len(some) == _MAX_KEYS or size + len(condition) > room):
            if conditions:
                yield _any(names, conditions), some
            some, conditions, size = [], [], 0
        some.append(texts)
        if condition:
            conditions.append(condition)
            size += len(condition) + len(" OR ()")
    if conditions:
        yield _any(names, conditions), some


def _equals(names: Sequence[str], constants: Sequence[str | None]) -> str:
    """Return the condition of one key for :func:`_any`; empty if no row can have the key."""
    known = [constant for constant in constants if constant is not None]
    if len(known) < len(names):
        return ""
    if len(names) == 1:
        return known[0]
    # MariaDB does not use an index for an IN list of tuples.
    return f"({' AND '.join(f'{name} = {value}' for name, value in zip(names, known, strict=True))})"


def _any(names: Sequence[str], conditions: Sequence[str]) -> str:
    return f"{names[0]} IN ({', '.join(conditions)})" if len(names) == 1 else f"({' OR '.join(conditions)})"


def _key_literal(column: CanonicalColumn, text: str) -> str | None:
    if column.column.kind is Kind.BINARY and column.type.kind is not LogicalKind.BYTES:
        # Text in a binary column.
        return literal(column.column, text.encode(errors="surrogatepass").hex())
    return literal(column.column, text)
