"""Find the type that holds all values of two types, to widen a target's column when the source's column has been widened.

Only types that the database enforces can be too narrow: SQLite stores any value in any column. The engine's
:meth:`.Ddl.wider_type` returns the SQL type, if the database can change a column to it; :mod:`.type_rules` decides which types
can be synced into each other without a change.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_MAX_BITS = 64


def wider_type(source: LogicalType, target: LogicalType) -> LogicalType | None:
    """Return the narrowest type that holds every value of both.

    :param source: type of the source's column
    :param target: type of the target's column
    :return: ``None`` if the target's type already holds them, or if no type does without loss
    """
    if not target.enforced:
        return None
    rule = _RULES.get((source.kind, target.kind))
    return None if rule is None else rule(source, target)


def integer_range(logical: LogicalType) -> tuple[int, int]:
    """Return the lowest and the highest number of an integer type."""
    bits = logical.bits or _MAX_BITS
    return (0, 2**bits - 1) if logical.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _integer(source: LogicalType, target: LogicalType) -> LogicalType | None:
    (source_low, source_high), (target_low, target_high) = integer_range(source), integer_range(target)
    low, high = min(source_low, target_low), max(source_high, target_high)
    if (low, high) == (target_low, target_high):
        return None
    bits = max(high.bit_length(), (-low - 1).bit_length() if low else 0) + (1 if low else 0)
    return LogicalType(kind=LogicalKind.INTEGER, bits=bits, unsigned=not low) if bits <= _MAX_BITS else None


def _decimal(source: LogicalType, target: LogicalType) -> LogicalType | None:
    scale = _longest(source.scale, target.scale)
    whole = _longest(_whole_digits(source), _whole_digits(target))
    if (whole, scale) == (_whole_digits(target), target.scale):
        return None
    precision = None if whole is None or scale is None else whole + scale
    return LogicalType(kind=LogicalKind.DECIMAL, precision=precision, scale=None if precision is None else scale)


def _decimal_of_integer(source: LogicalType, target: LogicalType) -> LogicalType | None:
    """Widen an integer column of the target to the source's decimals."""
    return _decimal(source, _as_decimal(target)) if source.precision is not None else None


def _integer_into_decimal(source: LogicalType, target: LogicalType) -> LogicalType | None:
    """Widen a decimal column of the target, without digits after the point, to the digits of the source's integers."""
    return _decimal(_as_decimal(source), target) if target.scale == 0 else None


def _as_decimal(integer: LogicalType) -> LogicalType:
    digits = len(str(max(map(abs, integer_range(integer)))))
    return LogicalType(kind=LogicalKind.DECIMAL, precision=digits, scale=0)


def _whole_digits(logical: LogicalType) -> int | None:
    return None if logical.precision is None or logical.scale is None else logical.precision - logical.scale


def _double(source: LogicalType, target: LogicalType) -> LogicalType | None:
    return LogicalType(kind=LogicalKind.FLOAT64)


def _length(source: LogicalType, target: LogicalType) -> LogicalType | None:
    length = _longest(source.length, target.length)
    # Trailing blanks are not part of a value of fixed width.
    fixed_width = source.fixed_width and target.fixed_width
    if (length, fixed_width) == (target.length, target.fixed_width):
        return None
    return LogicalType(kind=target.kind, length=length, fixed_width=fixed_width)


def _seconds(source: LogicalType, target: LogicalType) -> LogicalType | None:
    if source.scale is None or target.scale is None or source.scale <= target.scale:
        return None
    return msgspec.structs.replace(target, scale=source.scale)


def _timestamp_of_date(source: LogicalType, target: LogicalType) -> LogicalType | None:
    """Widen a date to a timestamp at midnight; not to a timestamptz, since a date has no time zone."""
    return LogicalType(kind=LogicalKind.TIMESTAMP, scale=source.scale or 0)


def _longest(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else max(one, other)


_RULES: dict[tuple[LogicalKind, LogicalKind], Callable[[LogicalType, LogicalType], LogicalType | None]] = {
    (LogicalKind.INTEGER, LogicalKind.INTEGER): _integer,
    (LogicalKind.DECIMAL, LogicalKind.DECIMAL): _decimal,
    (LogicalKind.DECIMAL, LogicalKind.INTEGER): _decimal_of_integer,
    (LogicalKind.INTEGER, LogicalKind.DECIMAL): _integer_into_decimal,
    (LogicalKind.FLOAT64, LogicalKind.FLOAT32): _double,
    (LogicalKind.TEXT, LogicalKind.TEXT): _length,
    (LogicalKind.BYTES, LogicalKind.BYTES): _length,
    (LogicalKind.TIME, LogicalKind.TIME): _seconds,
    (LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMP): _seconds,
    (LogicalKind.TIMESTAMPTZ, LogicalKind.TIMESTAMPTZ): _seconds,
    (LogicalKind.TIMESTAMP, LogicalKind.DATE): _timestamp_of_date,
}
"""Functions that widen a type, by the kinds of source and target."""
