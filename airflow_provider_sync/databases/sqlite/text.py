"""Build SQLite's expressions for canonical texts, and the Python functions that a connection needs for them.

Any column may contain values of any type. A value that does not fit the logical type is rendered unchanged, so that the digests
of the two sides differ.
"""

from __future__ import annotations

import hmac
import re
from decimal import ROUND_HALF_UP, Decimal, localcontext
from math import isfinite, isnan
from sqlite3 import Connection
from typing import Any

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.sqlite.affinities import Affinity
from airflow_provider_sync.protocol.v1.numbers import mysql_double
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

SECONDS = frozenset({LogicalKind.TIME, LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ})
"""Kinds with fractional seconds; SQLite stores as many digits as were written."""

_MICROSECONDS = 6
_ORDER_OFFSET = 2**70
_MAX_EXACT_DIGITS = 14
"""Maximum digits of decimals for which SQLite's arithmetic on doubles is exact."""

_KINDS = {
    Kind.INTEGER: LogicalKind.INTEGER,
    Kind.YEAR: LogicalKind.INTEGER,
    Kind.DECIMAL: LogicalKind.DECIMAL,
    Kind.BOOLEAN: LogicalKind.BOOLEAN,
    Kind.DOUBLE: LogicalKind.FLOAT64,
    Kind.TEXT: LogicalKind.TEXT,
    Kind.BINARY: LogicalKind.BYTES,
    Kind.DATE: LogicalKind.DATE,
    Kind.TIME: LogicalKind.TIME,
    Kind.DATETIME: LogicalKind.TIMESTAMP,
    Kind.TIMESTAMP: LogicalKind.TIMESTAMPTZ,
    Kind.UUID: LogicalKind.UUID,
}

_TIME_PATTERNS = {
    LogicalKind.TIME: "[0-9][0-9]:[0-9][0-9]:[0-9][0-9]",
    LogicalKind.TIMESTAMP: "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9] [0-9][0-9]:[0-9][0-9]:[0-9][0-9]",
}
_TIME_PATTERNS[LogicalKind.TIMESTAMPTZ] = _TIME_PATTERNS[LogicalKind.TIMESTAMP]

_TIME_TEXT = re.compile(r"((?:[0-9]{4}-[0-9]{2}-[0-9]{2}[ T])?-?[0-9]{2,3}:[0-9]{2}:[0-9]{2})(?:\.([0-9]*))?(Z|[+-]00:?00)?")


def logical_type(column: Column) -> LogicalType:
    """Return the logical type of a column's declared type."""
    match column.kind:
        case Kind.DECIMAL:
            return LogicalType(kind=LogicalKind.DECIMAL, scale=column.scale, precision=column.precision, enforced=False)
        case Kind.DATETIME | Kind.TIMESTAMP | Kind.TIME:
            return LogicalType(kind=_KINDS[column.kind], scale=_MICROSECONDS, enforced=False)
        case Kind.TEXT | Kind.BINARY:
            return LogicalType(kind=_KINDS[column.kind], length=column.length, enforced=False)
        case Kind.JSON:
            return LogicalType(kind=LogicalKind.JSON, json_dialect="sqlite", enforced=False)
        case kind if kind in _KINDS:
            return LogicalType(kind=_KINDS[kind], enforced=False)
    return LogicalType(kind=LogicalKind.ANY)


def expression(name: str, logical: LogicalType, affinity: Affinity) -> str:
    """Return the expression for the canonical text of a column, whose value is text, a blob with the text's bytes, or NULL.

    :param name: the quoted column, with an alias if it has one
    :param affinity: affinity of the column, which may make some checks unnecessary
    """
    match logical.kind:
        case LogicalKind.BYTES:
            return f"CASE WHEN {name} IS NOT NULL THEN lower(hex({name})) END"
        case LogicalKind.UUID:
            return f"lower({_plain(name, affinity)})"
        case LogicalKind.JSON:
            # JSONB is a blob, even if its bytes are also valid text. Mark it by an x, with which no JSON begins.
            return f"CASE typeof({name}) WHEN 'blob' THEN 'x''' || lower(hex({name})) || '''' ELSE {_plain(name, affinity)} END"
        case LogicalKind.DECIMAL:
            zeros = "." + "0" * logical.scale if logical.scale else ""
            scale = "NULL" if logical.scale is None else logical.scale
            return (
                f"CASE typeof({name}) WHEN 'real' THEN {_short_decimal(name, logical.scale)}"
                f" ELSE sync_decimal({name}, {scale}) END WHEN 'integer' THEN {name} || '{zeros}' ELSE {name} END"
            )
        case kind if kind in SECONDS:
            scale = logical.scale or 0
            whole = _TIME_PATTERNS[kind]
            # Leave texts of this form unchanged, even invalid times: only other fractions need a function call.
            full = whole.replace("[0-9]", "?") + "." + "[0-9]" * scale if scale else whole
            padded = f" WHEN {name} GLOB '{whole}' THEN {name} || '.{'0' * scale}'" if scale else ""
            return f"CASE WHEN {name} GLOB '{full}' THEN {name}{padded} ELSE sync_moment({name}, {scale}) END"
    if logical.kind is LogicalKind.ANY:
        return (
            f"CASE typeof({name}) WHEN 'text' THEN 't' || {name} WHEN 'integer' THEN 'i' || {name}"
            f" WHEN 'real' THEN 'r' || sync_float({name}) WHEN 'blob' THEN 'b' || lower(hex({name})) END"
        )
    return _plain(name, affinity)


def stored_expression(name: str, logical: LogicalType, affinity: Affinity) -> str:
    """Return the expression for the text to send: the canonical text, but times as stored, for an identical SQLite target."""
    return _plain(name, affinity) if logical.kind in SECONDS else expression(name, logical, affinity)


def computed_decimal(name: str, logical: LogicalType, affinity: Affinity) -> str:
    """Return the expression for the canonical text of a decimal that SQLite computes.

    SQLite computes with floating point: 1.1 * 1.5 is 1.6500000000000001. If the source has no more digits than its scale, values
    are rounded to it: no difference between two of the source's values is lost, and nothing is written to such a column. If the
    source is SQLite, too, only digits are left out that are there because of floating point.
    """
    rounded = f"sync_computed({name}, {logical.scale}, {int(logical.enforced)})"
    return f"CASE typeof({name}) WHEN 'real' THEN {rounded} ELSE {expression(name, logical, affinity)} END"


def register_functions(connection: Connection) -> None:
    """Register the functions that expressions call; once per connection, since they cannot be replaced while a statement runs."""
    connection.create_function("sync_float", 1, float_text, deterministic=True)
    connection.create_function("sync_decimal", 2, decimal_text, deterministic=True)
    connection.create_function("sync_computed", 3, computed_text, deterministic=True)
    connection.create_function("sync_moment", 2, moment_text, deterministic=True)
    connection.create_function("sync_order", 1, integer_order, deterministic=True)
    connection.create_function("sync_hmac", 2, hmac_text, deterministic=True)


def float_text(value: float) -> str:
    """Write a double; infinity and NaN as PostgreSQL writes them, since MySQL has neither."""
    if isfinite(value):
        return mysql_double(value)
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def decimal_text(value: float, scale: int | None) -> str:
    """Write a number as a decimal with ``scale`` digits after the point, or more if the number has more.

    :param scale: minimum number of digits; ``None`` for exactly the digits of the number
    """
    if not isfinite(value):
        return float_text(value)
    number = Decimal(repr(value)) if value else Decimal(0)
    if scale is not None and -int(number.as_tuple().exponent) <= scale:
        return f"{number:.{scale}f}"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def computed_text(value: float, scale: int, enforced: bool) -> str:
    """Round a computed number to ``scale`` digits after the point, of the 15 digits that a double always keeps; halves up.

    :param enforced: whether to round a number, too, that has more digits after the point; otherwise it is written as it is
    """
    if not isfinite(value):
        return float_text(value)
    number = Decimal(f"{value:.15g}")
    if not enforced and -int(number.as_tuple().exponent) > scale:
        return decimal_text(value, scale)
    with localcontext(prec=400):  # a double has up to 309 digits before the point
        # Adding 0 makes 0 of -0.
        return f"{number.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP) + 0:f}"


def moment_text(value: Any, scale: int) -> Any:
    """Write a time, or a date with a time, with ``scale`` digits of a second; return any other value unchanged.

    Accepts what SQLite's date functions accept: a ``T`` between date and time, any number of digits, and ``Z``.
    """
    if not isinstance(value, str):
        return float_text(value) if isinstance(value, float) else value
    match = _TIME_TEXT.fullmatch(value)
    if not match:
        return value
    fraction = match[2] or ""
    if fraction[scale:].strip("0"):
        return value
    return match[1].replace("T", " ") + (f".{fraction[:scale]:0<{scale}}" if scale else "")


def integer_order(value: Any) -> str | None:
    """Return a text that sorts like the integer, whatever its size; values that are not integers sort last."""
    if value is None:
        return None
    try:
        return f"{int(value) + _ORDER_OFFSET:022d}"
    except ValueError:
        return f"~{value}"


def hmac_text(secret: bytes, value: Any) -> str | None:
    """Return the HMAC-SHA-256, in hex, of a text in UTF-8, or of bytes that are not UTF-8."""
    if value is None:
        return None
    message = value if isinstance(value, bytes) else str(value).encode()
    # Twice as fast as an `hmac.HMAC` object.
    return hmac.digest(secret, message, "sha256").hex()


def _plain(name: str, affinity: Affinity) -> str:
    if affinity is Affinity.TEXT:
        return name  # this affinity converts every number to text when it is stored
    return f"CASE typeof({name}) WHEN 'real' THEN sync_float({name}) ELSE {name} END"


def _short_decimal(name: str, scale: int | None) -> str:
    """Return the start of a CASE that renders numbers of few digits, which most are, without a function call.

    An integer divided by a power of ten is the double nearest to that decimal, as long as both are exact.
    """
    if scale is None or scale > _MAX_EXACT_DIGITS:
        return "CASE WHEN 0 THEN NULL"
    largest = f"1e{_MAX_EXACT_DIGITS - scale}"
    whole = f"CAST({name} * 1e{scale} + CASE WHEN {name} < 0 THEN -0.5 ELSE 0.5 END AS INTEGER)"
    return (
        f"CASE WHEN {name} <> 0 AND {name} > -{largest} AND {name} < {largest} AND {whole} / 1e{scale} = {name}"
        f" THEN printf('%.{scale}f', {name})"
    )
