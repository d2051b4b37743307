"""Columns of PostgreSQL as every engine gives their values, and as version 1 hashes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow_provider_sync.databases.schema import Column, Kind, Value
from airflow_provider_sync.protocol.v1.numbers import mysql_double, mysql_float

Convert = Callable[[Sequence[Any]], Sequence[Value]]
"""Turns the values of one column, as the driver gives them, into those of ``Database.read``."""

_PLAIN = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.DOUBLE, Kind.BINARY})
"""Kinds that both drivers read as they should; the others are asked for as text."""

_CLOCK = {Kind.TIME: 8, Kind.DATETIME: 19, Kind.TIMESTAMP: 19}
"""Kinds with fractions of a second, and their length up to the seconds."""


def selected(column: Column, name: str) -> str:
    """Return the expression that reads ``column`` so that psycopg 3 and psycopg2 give the same value.

    :param name: the quoted name
    """
    match column.kind:
        case Kind.INTEGER if column.unsigned:
            return f"{name}::bigint"
        case Kind.BOOLEAN:
            return f"{name}::integer"
        case Kind.BIT:
            # Through the built-in type, since a domain has no such cast.
            return f"{name}::bit({column.length})::bigint"
        case Kind.TIMESTAMP:
            return f"({name} AT TIME ZONE 'UTC')::text"
        case Kind.DECIMAL:
            # Money would come with its currency; numerics stay as they are.
            return f"{name}::numeric::text"
        case kind if kind in _PLAIN:
            return name
        case _:
            return f"{name}::text"


def converter(column: Column) -> Convert | None:
    """Return what turns the driver's values of ``column`` into the contract's; ``None`` where they are that already."""
    match column.kind:
        case Kind.FLOAT:
            return _six_digits
        case Kind.BINARY:
            return _bytes
        case Kind.BIT if column.length == 64:
            return _unsigned
        case Kind.TIME | Kind.DATETIME | Kind.TIMESTAMP if column.scale:
            return _padded(_CLOCK[column.kind], column.scale)
    return None


def hashed(column: Column) -> Callable[[Value], bytes]:
    """Return what writes a value, never ``None``, as MySQL would for the version 1 hash."""
    match column.kind:
        case Kind.DOUBLE:
            return lambda value: mysql_double(_number(value)).encode()
        case Kind.FLOAT:
            return lambda value: mysql_float(_number(value)).encode()
        case Kind.BIT:
            size = ((column.length or 1) + 7) // 8
            return lambda value: int(_number(value)).to_bytes(size, "big")
        case Kind.BINARY:
            return _raw
    return _text


def _number(value: Value) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is not a number.")
    return value


def _raw(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is not bytes.")
    return value


def _text(value: Value) -> bytes:
    return str(value).encode()


def _six_digits(values: Sequence[Any]) -> Sequence[Value]:
    return [None if value is None else float(f"{value:.6g}") for value in values]


def _bytes(values: Sequence[Any]) -> Sequence[Value]:
    # psycopg2 gives a memoryview.
    return [None if value is None else bytes(value) for value in values]


def _unsigned(values: Sequence[Any]) -> Sequence[Value]:
    return [None if value is None else value & 0xFFFF_FFFF_FFFF_FFFF for value in values]


def _padded(seconds: int, scale: int) -> Convert:
    """Return what gives every value as many digits of a second as its column has; PostgreSQL drops zeros at the end."""
    full = seconds + 1 + scale

    def pad(values: Sequence[Any]) -> Sequence[Value]:
        return [value if value is None or len(value) == full else _pad(value, scale) for value in values]

    return pad


def _pad(value: str, scale: int) -> str:
    clock, blank, era = value.partition(" BC")
    if not clock[-1].isdigit():
        return value  # infinity
    whole, _, fraction = clock.partition(".")
    return f"{whole}.{fraction:0<{scale}}{blank}{era}"
