"""The row text of version 2 and its digest as SQL, as :mod:`airflow_provider_sync.protocol.v2.row_text` has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from airflow_provider_sync.databases.mysql.text import canonical_text
from airflow_provider_sync.databases.schema import TEXTUAL, Column, Kind
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS, NULL_BITS
from airflow_provider_sync.protocol.v2.types import LENGTH_PREFIXED

TOO_LARGE = 10**40
"""What a row counts for that the server cannot put together: more than all digests of a table, and exact in a DECIMAL."""

_LARGE = frozenset({Kind.BINARY, Kind.GEOMETRY, Kind.TEXT, Kind.JSON, Kind.OTHER})

_BEYOND_INTEGERS = 10**64
"""What a key counts for that is no integer: more than those that a text can be told to have, and exact in a DECIMAL."""

_SAFE_INTEGER = 2**62
"""Differences of integers up to here stay in range, with or without a sign."""


def row_digest(columns: Sequence[CanonicalColumn], quote: Callable[[str], str], packet: int) -> str:
    """Return the expression of a row's digest; NULL for a row that is larger than a packet.

    :param packet: the server's ``max_allowed_packet``, above which functions of text give NULL
    """
    hashed = f"SHA2({_row_text(columns, quote)}, 256)"
    # CONCAT_WS leaves out a field that has become NULL, as if it had been NULL before.
    lost = [condition for column in columns if (condition := _is_lost(column, quote(column.column.name), packet))]
    if lost:
        hashed = f"IF({' OR '.join(lost)}, NULL, {hashed})"
    return f"CAST(CONV(LEFT({hashed}, {DIGEST_BITS // 4}), 16, 10) AS UNSIGNED)"


def texts(columns: Iterable[CanonicalColumn], quote: Callable[[str], str]) -> str:
    """List the expressions of the columns' canonical texts."""
    return ", ".join(canonical_text(column.column, column.type, quote(column.column.name)) for column in columns)


def key_hash(key: Sequence[CanonicalColumn], quote: Callable[[str], str]) -> str:
    """Return the expression of a key's hash."""
    texts = [canonical_text(column.column, column.type, quote(column.column.name)) for column in key]
    return f"CRC32({texts[0]})" if len(texts) == 1 else f"CRC32(CONCAT_WS('|', {', '.join(texts)}))"


def segment(key: Column, name: str, partitioning: Partitioning) -> str:
    """Return the expression of the number of a row's segment, for a partitioning of ranges.

    :param name: the key's column, quoted
    """
    number = key_number(key, name)
    if (
        (not key.unsigned and partitioning.low < -_SAFE_INTEGER)
        or partitioning.high > _SAFE_INTEGER
        or (key.unsigned and partitioning.low < 0)
    ):
        number = f"CAST({number} AS DECIMAL(30))"
    return (
        f"CASE WHEN {number} < {partitioning.low} THEN -1 WHEN {number} > {partitioning.high} THEN {partitioning.segment_count}"
        f" ELSE ({number} - ({partitioning.low})) DIV {partitioning.width} END"
    )


def key_number(key: Column, name: str) -> str:
    """Return the key as a number, in a form that can use its index where it is one; beyond all of them where it is none.

    :param name: its column, quoted
    """
    if key.kind in (Kind.INTEGER, Kind.DECIMAL):
        return name
    if key.kind in (Kind.BIT, Kind.YEAR):
        return f"{name} + 0"
    number = f"CAST({name} AS DECIMAL(65))"
    if key.kind not in TEXTUAL:
        return number
    return f"IF({name} REGEXP '^-?[0-9]{{1,64}}$', {number}, {_BEYOND_INTEGERS})"


def _row_text(columns: Sequence[CanonicalColumn], quote: Callable[[str], str]) -> str:
    fields: list[str] = []
    nulls: list[list[str]] = [[] for _ in range(-(-len(columns) // NULL_BITS))]
    for position, column in enumerate(columns):
        name = quote(column.column.name)
        text = canonical_text(column.column, column.type, name)
        if column.type.kind in LENGTH_PREFIXED:
            fields.append(f"LENGTH({text})")
        fields.append(text)
        if column.column.nullable:
            nulls[position // NULL_BITS].append(f"ISNULL({name}) * {1 << position % NULL_BITS}")
    fields += [" + ".join(bits) or "0" for bits in nulls]
    return f"CONCAT_WS('|', {', '.join(fields)})"


def _is_lost(column: CanonicalColumn, name: str, packet: int) -> str | None:
    """Return the condition that a value's text does not fit into a packet; ``None`` where it always does."""
    text = canonical_text(column.column, column.type, name)
    limit = packet // 4
    if text == name or column.column.kind not in _LARGE or 0 < (column.column.length or 0) <= limit:
        return None
    # The second half is looked at only for values that are large.
    return f"(LENGTH({name}) > {limit} AND {text} IS NULL)"
