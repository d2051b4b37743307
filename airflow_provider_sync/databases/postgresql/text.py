"""Build PostgreSQL expressions that write a column as canonical text, and that read a text as a value of the column's type."""

from __future__ import annotations

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_BITS = {"smallint": 16, "integer": 32, "oid": 32}
_WHOLE_SECONDS_LENGTH = {LogicalKind.TIME: 8, LogicalKind.TIMESTAMP: 19, LogicalKind.TIMESTAMPTZ: 19}
"""Kinds with fractional seconds, with the length of their texts without the fraction."""

_TIME_KINDS = frozenset({Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP})

# Without length, scale and precision: an explicit cast to them would truncate values silently.
_WIDE = {
    Kind.INTEGER: "bigint",
    Kind.DECIMAL: "numeric",
    Kind.FLOAT: "float8",
    Kind.DOUBLE: "float8",
    Kind.BOOLEAN: "boolean",
    Kind.CHAR: "bpchar",
    Kind.TEXT: "text",
    Kind.TIME: "time",
    Kind.DATETIME: "timestamp",
    Kind.TIMESTAMP: "timestamptz",
}

COMPARED_AS_TEXT = frozenset({Kind.JSON, Kind.OTHER})
"""Kinds without an ``=``, or whose ``=`` calls different texts equal."""


def is_null(value: str) -> str:
    """Return the condition that an expression is NULL; ``IS NULL`` is also true for composite values with only NULL fields."""
    return f"{value} IS NOT DISTINCT FROM NULL"


def logical_type(column: Column) -> LogicalType:
    """Return the logical type of a column; a type without a logical kind is sent as text that PostgreSQL can read back."""
    match column.kind:
        case Kind.INTEGER:
            return LogicalType(kind=LogicalKind.INTEGER, bits=_BITS.get(column.sql_type), unsigned=column.unsigned)
        case Kind.BOOLEAN:
            return LogicalType(kind=LogicalKind.BOOLEAN)
        case Kind.BIT:
            return LogicalType(kind=LogicalKind.INTEGER, bits=column.length, unsigned=True)
        case Kind.DECIMAL if column.scale is None:
            return LogicalType(kind=LogicalKind.DECIMAL)
        case Kind.DECIMAL:
            scale = max(column.scale or 0, 0)
            # Other databases have no numeric(5,-2) and numeric(3,5): declare them with seven and five digits.
            precision = None if column.precision is None else max(column.precision - min(column.scale or 0, 0), scale)
            return LogicalType(kind=LogicalKind.DECIMAL, scale=scale, precision=precision)
        case Kind.FLOAT | Kind.DOUBLE:
            return LogicalType(kind=LogicalKind.FLOAT32 if column.kind is Kind.FLOAT else LogicalKind.FLOAT64)
        case Kind.CHAR:
            return LogicalType(kind=LogicalKind.TEXT, length=column.length, fixed_width=True)
        case Kind.BINARY:
            return LogicalType(kind=LogicalKind.BYTES)
        case Kind.DATE:
            return LogicalType(kind=LogicalKind.DATE)
        case Kind.TIME:
            return LogicalType(kind=LogicalKind.TIME, scale=column.scale)
        case Kind.DATETIME:
            return LogicalType(kind=LogicalKind.TIMESTAMP, scale=column.scale)
        case Kind.TIMESTAMP:
            return LogicalType(kind=LogicalKind.TIMESTAMPTZ, scale=column.scale)
        case Kind.UUID:
            return LogicalType(kind=LogicalKind.UUID)
        case Kind.JSON:
            # `json` keeps the text unchanged, `jsonb` rewrites it.
            return LogicalType(kind=LogicalKind.JSON, json_dialect="postgresql" if column.sql_type == "jsonb" else None)
    return LogicalType(kind=LogicalKind.TEXT, length=column.length)


def canonical_text(column: Column, kind: LogicalType, name: str) -> str:
    """Return an expression that is a column's canonical text, or that PostgreSQL outputs as that text.

    A value with more digits than the type can render keeps them all, so that it differs from the source's.

    :param kind: type by which the values are rendered; may differ from the column's
    :param name: the quoted column
    """
    match kind.kind, column.kind:
        case LogicalKind.INTEGER | LogicalKind.BOOLEAN | LogicalKind.DECIMAL, Kind.BIT:
            return _bits(column, name)
        case LogicalKind.INTEGER | LogicalKind.BOOLEAN | LogicalKind.DECIMAL, Kind.BOOLEAN:
            return f"{name}::integer"
        case LogicalKind.INTEGER | LogicalKind.BOOLEAN, Kind.INTEGER:
            return name
        case LogicalKind.INTEGER | LogicalKind.BOOLEAN, Kind.DECIMAL if column.scale == 0:
            return name
        case LogicalKind.INTEGER | LogicalKind.BOOLEAN, Kind.DECIMAL:
            return f"trim_scale({name}::numeric)"
        case LogicalKind.DECIMAL, Kind.DECIMAL | Kind.INTEGER:
            return _decimal(column, kind, name)
        case LogicalKind.FLOAT32 | LogicalKind.FLOAT64, Kind.FLOAT | Kind.DOUBLE:
            return _double(f"{name}::float8")
        case LogicalKind.BYTES, Kind.BINARY:
            return f"encode({name}, 'hex')"
        case LogicalKind.TEXT, Kind.TEXT if not kind.fixed_width:
            return f"{name}::text"
        case LogicalKind.TEXT, Kind.CHAR:
            return f"{name}::text"  # without trailing blanks
        case LogicalKind.TEXT, _ if kind.fixed_width:
            return f"rtrim({name}::text, ' ')"
        case (LogicalKind.TIME | LogicalKind.TIMESTAMP | LogicalKind.TIMESTAMPTZ) as time_kind, _ if column.kind in _TIME_KINDS:
            return _padded(_unpadded(column, name), _WHOLE_SECONDS_LENGTH[time_kind], kind.scale or 0)
    return f"{name}::text"


def hashed_text(column: Column, kind: LogicalType, name: str) -> str:
    """Return the expression of the text of a column that the digest ``pghash`` hashes.

    It is the canonical text, but without trailing zeros of fractional seconds, since adding them takes longer than hashing. Two
    such texts are equal if and only if the canonical texts are.
    """
    if kind.kind not in _WHOLE_SECONDS_LENGTH:
        return f"({canonical_text(column, kind, name)})::text"
    if column.kind in _TIME_KINDS:
        return _unpadded(column, name)
    return _without_padding(f"{name}::text", _WHOLE_SECONDS_LENGTH[kind.kind], kind.scale or 0)


def parsed(column: Column, expression: str) -> str:
    """Return the expression that reads a canonical text as a value to compare with the column.

    The value has the column's type without length and scale, so the comparison can use the column's index.

    :param expression: an expression of type text
    """
    if column.kind is Kind.BINARY:
        return f"decode({expression}, 'hex')"
    if column.kind is Kind.BIT:
        # Use numeric, since the highest of 64 bits is not a sign here.
        signed = f"({expression})::numeric - CASE WHEN ({expression})::numeric >= {2**63} THEN {2**64} ELSE 0 END"
        return f"({signed})::bigint::bit({column.length})"
    if column.kind is Kind.DECIMAL and column.sql_type == "money":
        return f"({expression})::numeric::money"
    return f"({expression})::{_WIDE.get(column.kind, column.sql_type)}"


def operand(column: Column, name: str) -> str:
    """Return a column as a value to compare: a domain over an enum has no operators; the enum has, and uses the same index."""
    return f"{name}::{column.sql_type}" if column.is_domain and column.kind is Kind.ENUM else name


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def _bits(column: Column, name: str) -> str:
    # Cast to the built-in type first, since a domain has no cast to bigint.
    number = f"{name}::bit({column.length})::bigint"
    return f"CASE WHEN {number} < 0 THEN {number}::numeric + {2**64} ELSE {number} END" if column.length == 64 else number


def _decimal(column: Column, kind: LogicalType, name: str) -> str:
    scale = kind.scale
    number = name if column.sql_type.startswith("numeric") else f"{name}::numeric"
    if scale is None and kind.trailing_zeros:
        return number
    if scale is None:
        return f"trim_scale({number})"
    if column.kind is Kind.DECIMAL and column.scale == scale:
        return number
    rounded = f"round({number}, {scale})"
    if column.kind is Kind.INTEGER or (column.scale is not None and column.scale < scale):
        return rounded
    return f"CASE WHEN {rounded} = {number} THEN {rounded} ELSE trim_scale({number}) END"


def _double(number: str) -> str:
    """Write a double as ``protocol.v1.numbers.mysql_double`` does.

    PostgreSQL uses an exponent below 1e-4 and from 1e15 on; MySQL below 1e-15, and from 1e15 on unless there are digits after
    the point. Some decimal numbers lie exactly between two doubles: MySQL writes such a number if it reads back as the double,
    PostgreSQL does not. This affects integers from 2**53 to 1e39.
    """
    size = f"abs({number})"
    fixed = f"{number}::text::numeric::text"
    return (
        f"CASE WHEN {number} = 0 THEN '0'"
        f" WHEN {size} >= 1e-4 AND {size} < 1e15 THEN {number}::text"
        f" WHEN {size} >= 1e-15 AND {size} < 1e-4 THEN {fixed}"
        f" WHEN {size} >= 1e15 AND {size} < 1e16 AND strpos({fixed}, '.') > 0 THEN {fixed}"
        f" WHEN {size} >= {2**53} AND {size} < 1e39"
        f" THEN regexp_replace(ltrim(to_char({_fewest_digits(number)}, '9.{'9' * 16}EEEE')), '\\.?0*e\\+', 'e')"
        f" ELSE replace({number}::text, 'e+', 'e') END"
    )


def _fewest_digits(number: str) -> str:
    """Convert a whole double to the numeric with the fewest digits that reads back as the same double."""
    # The cast to numeric gives at most 15 digits; the text has up to 17.
    longest = f"{number}::text::numeric"
    sixteen = f"round({longest}, 16 - length(trunc(abs({longest}))::text))"
    return (
        f"CASE WHEN {number}::numeric::float8 = {number} THEN {number}::numeric"
        f" WHEN {sixteen}::float8 = {number} THEN {sixteen} ELSE {longest} END"
    )


def _unpadded(column: Column, name: str) -> str:
    """Return the expression of a time as PostgreSQL writes it, in UTC: without trailing zeros of fractional seconds."""
    return f"({name} AT TIME ZONE 'UTC')::text" if column.kind is Kind.TIMESTAMP else f"{name}::text"


def _padded(text: str, seconds: int, scale: int) -> str:
    """Add the trailing zeros of fractional seconds that PostgreSQL leaves out; ``to_char`` would take twice as long.

    Infinity, years BC and years beyond 9999 are left unchanged.

    :param seconds: length of the text without fractional seconds
    :param scale: digits after the second
    """
    if not scale:
        return text
    full = seconds + 1 + scale
    return (
        f"CASE octet_length({text}) WHEN {full} THEN {text}"
        f" WHEN {seconds} THEN {text} || '.{'0' * scale}'"
        f" ELSE CASE WHEN octet_length({text}) < {full} AND substr({text}, {seconds + 1}, 1) = '.' THEN rpad({text}, {full}, '0')"
        f" ELSE {text} END END"
    )


def _without_padding(text: str, seconds: int, scale: int) -> str:
    """Undo :func:`_padded`; append ``?`` to a text that it would not have written, so that it stays different."""
    if not scale:
        return text
    full = seconds + 1 + scale
    point = f"substr({text}, {seconds + 1}, 1) = '.'"
    return (
        f"CASE WHEN octet_length({text}) = {full} AND {point} THEN regexp_replace({text}, '\\.?0+$', '')"
        f" WHEN octet_length({text}) = {seconds} OR octet_length({text}) < {full} AND {point} THEN {text} || '?'"
        f" ELSE {text} END"
    )
