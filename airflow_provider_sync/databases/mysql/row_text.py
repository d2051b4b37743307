"""Build SQL for the row text of version 2 and its digest, which :mod:`airflow_provider_sync.protocol.v2.row_text` defines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from airflow_provider_sync.databases.mysql.text import canonical_text
from airflow_provider_sync.databases.row_text_sql import null_fields, value_fields
from airflow_provider_sync.databases.schema import TEXTUAL, Column, Kind
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.protocol.v2.row_text import DIGEST_BITS

TOO_LARGE = 10**40
"""Replaces the digest of a row that is too large for the server: above the sum of any table's digests, exact in a DECIMAL."""

_LARGE = frozenset({Kind.BINARY, Kind.GEOMETRY, Kind.TEXT, Kind.JSON, Kind.OTHER})

_BEYOND_INTEGERS = 10**64
"""Replaces a key that is not an integer: above every integer that :func:`key_number` reads from a text, exact in a DECIMAL."""

_NUMBER_BYTES = 100
"""Upper bound for the text of a number or time, without the decimals that the other side's type adds."""

_AROUND = 50
"""Upper bound for separators, the length before a value, and the value's share of the NULL bits."""

_SAFE_INTEGER = 2**62
"""Differences of integers up to this size do not overflow, signed or unsigned."""


def row_digest(columns: Sequence[CanonicalColumn], quote: Callable[[str], str], packet: int) -> str:
    """Return the expression of a row's digest; NULL for a row that is larger than a packet.

    :param packet: the server's ``max_allowed_packet`` in bytes; text functions return NULL above it
    """
    hashed = f"SHA2({_row_text(columns, quote)}, 256)"
    # CONCAT_WS skips a field that is NULL because of its size, as if the value were NULL.
    if lost := lost_texts(columns, quote, packet):
        hashed = f"IF({lost}, NULL, {hashed})"
    return f"CAST(CONV(LEFT({hashed}, {DIGEST_BITS // 4}), 16, 10) AS UNSIGNED)"


def always_fits(columns: Sequence[CanonicalColumn], packet: int) -> bool:
    """Whether no row's text can be larger than a packet, by the columns' declared lengths, so that each row has a digest.

    :param packet: see :func:`row_digest`
    """
    sizes = [_max_bytes(column) for column in columns]
    return None not in sizes and sum(filter(None, sizes)) <= packet


def lost_texts(columns: Iterable[CanonicalColumn], quote: Callable[[str], str], packet: int) -> str | None:
    """Return the condition that :func:`texts` has NULL for a value that is too large for a packet; ``None`` if it never has.

    :param packet: see :func:`row_digest`
    """
    return " OR ".join(filter(None, (_is_lost(column, quote(column.column.name), packet) for column in columns))) or None


def texts(columns: Iterable[CanonicalColumn], quote: Callable[[str], str]) -> str:
    """Return the expressions of the columns' canonical texts, separated by commas."""
    return ", ".join(_text(column, quote) for column in columns)


def key_hash(key: Sequence[CanonicalColumn], quote: Callable[[str], str]) -> str:
    """Return the expression of a key's hash."""
    texts = [_text(column, quote) for column in key]
    return f"CRC32({texts[0]})" if len(texts) == 1 else f"CRC32(CONCAT_WS('|', {', '.join(texts)}))"


def segment(key: Column, name: str, partitioning: Partitioning) -> str:
    """Return the expression of a row's segment number in a partitioning by key range.

    :param name: the quoted key column
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
    """Return the expression of the key as a number; for a column of integers or decimals it can use the key's index.

    A text that is not an integer becomes a number above all integers.

    :param name: the quoted key column
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
    fields = value_fields(columns, lambda column: _text(column, quote), lambda text: f"LENGTH({text})")
    fields += null_fields(columns, lambda column, number: f"ISNULL({quote(column.column.name)}) * {number}")
    return f"CONCAT_WS('|', {', '.join(fields)})"


def _text(column: CanonicalColumn, quote: Callable[[str], str]) -> str:
    return canonical_text(column.column, column.type, quote(column.column.name))


def _max_bytes(column: CanonicalColumn) -> int | None:
    """Return an upper bound for the bytes of a value in the row text, with separators; ``None`` if there is none."""
    kind, length = column.column.kind, column.column.length
    if kind in _LARGE or kind in TEXTUAL:
        # A character takes up to four bytes; a byte is written as two hex digits.
        return None if length is None else 4 * length + _AROUND
    return _NUMBER_BYTES + abs(column.type.scale or 0) + _AROUND


def _is_lost(column: CanonicalColumn, name: str, packet: int) -> str | None:
    """Return the condition that a value's text is too large for a packet; ``None`` if it always fits."""
    text = canonical_text(column.column, column.type, name)
    limit = packet // 4
    if text == name or column.column.kind not in _LARGE or 0 < (column.column.length or 0) <= limit:
        return None
    # The second condition is evaluated only for large values.
    return f"(LENGTH({name}) > {limit} AND {text} IS NULL)"
