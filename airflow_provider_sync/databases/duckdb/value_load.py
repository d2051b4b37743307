"""Write the values of version 1 as canonical texts of the target's columns."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Context, Decimal, InvalidOperation
from math import isfinite

from airflow_provider_sync.databases.schema import Column, Kind, Row, Table, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1.numbers import json_float, mysql_double
from airflow_provider_sync.protocol.v2.tsv import encode_rows

_TIMES = frozenset({Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP})
_FLOAT32_DIGITS = 9
"""Number of digits that distinguish each float32 from all others."""

_MAX_EXPONENT = 100
_WIDE = Context(prec=2 * _MAX_EXPONENT)
"""A decimal context with enough digits for every number of a column; the default has 28."""


def text_blocks(table: Table, batches: Iterable[Sequence[Row]]) -> Iterator[bytes]:
    """Yield lines of canonical texts. A value that is invalid for its column is written unchanged, and the database refuses it.

    :raises TableError: naming table and column, for text that is not UTF-8
    """
    writers = [_writer(column) for column in table.columns]
    for rows in filter(None, batches):
        columns = [
            _written(table, column, write, values)
            for column, write, values in zip(table.columns, writers, zip(*rows, strict=True), strict=True)
        ]
        yield encode_rows(list(zip(*columns, strict=True)))


def _written(table: Table, column: Column, write: Callable[[Value], str], values: Sequence[Value]) -> list[bytes | None]:
    try:
        return [None if value is None else write(value).encode() for value in values]
    except (UnicodeError, ValueError) as error:
        raise TableError(f"Table {table.label!r}, column {column.name!r} ({column.sql_type}): {error}.") from error


def _writer(column: Column) -> Callable[[Value], str]:
    match column.kind:
        case Kind.INTEGER:
            return _integer
        case Kind.DOUBLE:
            return _double
        case Kind.FLOAT:
            return _single
        case Kind.DECIMAL:
            return lambda value: _decimal(value, column.scale or 0)
        case Kind.BINARY:
            return _hex
        case kind if kind in _TIMES:
            return lambda value: _time(value, column.scale or 0)
    return _plain


def _plain(value: Value) -> str:
    if isinstance(value, float):
        return json_float(value)
    return value.decode() if isinstance(value, bytes) else str(value)


def _integer(value: Value) -> str:
    """Write a number without leading zeros, which MySQL's zero-filled columns and the year 0000 have."""
    text = _plain(value)
    return text.lstrip("0") or "0" if text.isascii() and text.isdigit() else text


def _hex(value: Value) -> str:
    return (value if isinstance(value, bytes) else _plain(value).encode()).hex()


def _double(value: Value) -> str:
    """Write a number as a double; leave a text with more digits than a double has unchanged."""
    try:
        exact = Decimal(_plain(value))
        number = float(exact)
    except (InvalidOperation, ValueError):
        return _plain(value)
    return mysql_double(number) if isfinite(number) and Decimal(repr(number)) == exact else _plain(value)


def _single(value: Value) -> str:
    """Write a number as the double of the nearest float32, or like :func:`_double` if that float32 has other digits.

    Version 1 sends six digits, as MySQL does.
    """
    try:
        exact = Decimal(_plain(value))
        (nearest,) = struct.unpack("f", struct.pack("f", float(exact)))
    except (InvalidOperation, ValueError, OverflowError):
        return _plain(value)
    digits = len(exact.as_tuple().digits)
    if isfinite(nearest) and digits <= _FLOAT32_DIGITS and Decimal(f"{nearest:.{digits}g}") == exact:
        return mysql_double(nearest)
    return _double(value)


def _decimal(value: Value, scale: int) -> str:
    """Write a number with the column's digits after the point; leave one with more digits unchanged."""
    try:
        exact = Decimal(_plain(value))
    except InvalidOperation:
        return _plain(value)
    if not exact.is_finite() or exact.adjusted() > _MAX_EXPONENT:
        return _plain(value)
    if exact != exact.quantize(Decimal(1).scaleb(-scale), context=_WIDE):
        return _plain(value)
    return f"{exact if exact else abs(exact):.{scale}f}"


def _time(value: Value, scale: int) -> str:
    """Write a time with the column's digits of a second; leave one with more digits unchanged."""
    text = _plain(value)
    whole, _, fraction = text.partition(".")
    fraction = fraction.rstrip("0")
    if len(fraction) > scale or ":" not in whole:
        return text
    return f"{whole}.{fraction:0<{scale}}" if scale else whole
