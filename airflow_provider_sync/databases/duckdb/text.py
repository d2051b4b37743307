"""Build DuckDB expressions that write a column as canonical text, and that read a text as a value of the column's type."""

from __future__ import annotations

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_BITS = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32}
_WHOLE_SECONDS_LENGTH = {LogicalKind.TIME: 8, LogicalKind.TIMESTAMP: 19, LogicalKind.TIMESTAMPTZ: 19}
"""Kinds with fractional seconds, with the length of their texts without the fraction."""

_TIME_KINDS = frozenset({Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP})
_WHOLE_NUMBERS = frozenset({LogicalKind.INTEGER, LogicalKind.BOOLEAN})
_FLOATS = frozenset({LogicalKind.FLOAT32, LogicalKind.FLOAT64})

_KINDS = {
    Kind.BOOLEAN: LogicalKind.BOOLEAN,
    Kind.FLOAT: LogicalKind.FLOAT32,
    Kind.DOUBLE: LogicalKind.FLOAT64,
    Kind.BINARY: LogicalKind.BYTES,
    Kind.DATE: LogicalKind.DATE,
    Kind.TIME: LogicalKind.TIME,
    Kind.DATETIME: LogicalKind.TIMESTAMP,
    Kind.TIMESTAMP: LogicalKind.TIMESTAMPTZ,
    Kind.UUID: LogicalKind.UUID,
}


def logical_type(column: Column) -> LogicalType:
    """Return the logical type of a column; a type without a logical kind is sent as text that DuckDB can read back."""
    match column.kind:
        case Kind.INTEGER:
            bits = _BITS.get(column.sql_type.removeprefix("U"))
            return LogicalType(kind=LogicalKind.INTEGER, bits=bits, unsigned=column.unsigned)
        case Kind.DECIMAL:
            return LogicalType(kind=LogicalKind.DECIMAL, scale=column.scale, precision=column.precision)
        case Kind.JSON:
            return LogicalType(kind=LogicalKind.JSON, json_dialect="duckdb")
        case kind if kind in _TIME_KINDS:
            return LogicalType(kind=_KINDS[kind], scale=column.scale)
    return LogicalType(kind=_KINDS.get(column.kind, LogicalKind.TEXT))


def literal(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def canonical_text(column: Column, kind: LogicalType, name: str) -> str:
    """Return the expression of a column's canonical text.

    A value with more digits than the type can render keeps them all, so that it differs from the source's.

    :param kind: type by which the values are rendered; may differ from the column's
    :param name: the quoted column
    """
    if column.sql_type == "VARCHAR":
        # Texts of two collations cannot be concatenated.
        name = f"({name} COLLATE C)"
    plain = f"CAST({name} AS VARCHAR)"
    if column.kind is Kind.DECIMAL and column.scale and column.scale == column.precision:
        # DuckDB writes .05 without a digit before the point.
        plain = f"regexp_replace({plain}, '^(-?)[.]', '\\10.')"
    match column.kind:
        case Kind.BOOLEAN if kind.kind is not LogicalKind.TEXT:
            return f"CAST(CAST({name} AS TINYINT) AS VARCHAR)"
        case Kind.DECIMAL if kind.kind in _WHOLE_NUMBERS:
            return _trimmed(plain, column.scale or 0)
        case Kind.DECIMAL | Kind.INTEGER if kind.kind is LogicalKind.DECIMAL:
            return _decimal(plain, column.scale or 0, kind.scale)
        case Kind.FLOAT | Kind.DOUBLE if kind.kind in _FLOATS:
            return _double(f"CAST({name} AS DOUBLE)")
        case Kind.BINARY if kind.kind is LogicalKind.BYTES:
            return f"lower(hex({name}))"
        case Kind.TIMESTAMP if kind.kind in _WHOLE_SECONDS_LENGTH:
            return _padded(f"CAST({name} AT TIME ZONE 'UTC' AS VARCHAR)", kind)
        case Kind.TIME | Kind.DATETIME if kind.kind in _WHOLE_SECONDS_LENGTH:
            return _padded(plain, kind)
        case Kind.TEXT if kind.kind is LogicalKind.TEXT and not kind.fixed_width:
            return name
    return f"rtrim({plain}, ' ')" if kind.fixed_width else plain


def parsed(column: Column, text: str) -> str:
    """Return the expression that reads a canonical text as a value of the column; NULL for an invalid text.

    :param text: an expression of type VARCHAR
    """
    match column.kind:
        case Kind.TEXT:
            return text
        case Kind.BINARY:
            return f"CASE WHEN regexp_full_match({text}, '([0-9a-f]{{2}})*') THEN unhex({text}) END"
        case Kind.TIMESTAMP:
            return f"TRY_CAST({text} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    return f"TRY_CAST({text} AS {column.sql_type})"


def canonical_time(text: str, kind: LogicalType) -> str:
    """Return the canonical form of a time that an SQLite source sends as stored: with a ``T``, other digits, or a ``Z``.

    A text that is not a time does not become the canonical form of one.

    :param text: an expression of type VARCHAR
    :param kind: a kind with seconds
    """
    plain = f"regexp_replace(replace({text}, 'T', ' '), '(Z|[+-]00:?00)$', '')"
    # Remove trailing zeros of the fraction, and a point without a fraction.
    return _padded(f"regexp_replace(regexp_replace({plain}, '(\\.[0-9]*?)0+$', '\\1'), '\\.$', '')", kind)


def _trimmed(text: str, scale: int) -> str:
    """Return the text of a decimal without trailing zeros in its fraction."""
    return f"rtrim(rtrim({text}, '0'), '.')" if scale else text


def _decimal(text: str, scale: int, wanted: int | None) -> str:
    if wanted is None:
        return _trimmed(text, scale)
    if scale <= wanted:
        zeros = "0" * (wanted - scale)
        return text if not zeros else f"{text} || '{zeros if scale else '.' + zeros}'"
    # Remove the surplus digits if they are zeros; keep any other digit, so that it shows as a difference.
    surplus = scale - wanted
    kept = f"left({text}, strlen({text}) - {surplus if wanted else surplus + 1})"
    return f"CASE WHEN right({text}, {surplus}) = '{'0' * surplus}' THEN {kept} ELSE {_trimmed(text, scale)} END"


def _double(number: str) -> str:
    """Write a double as ``protocol.v1.numbers.mysql_double`` does.

    DuckDB has the same digits, but uses an exponent below 1e-4 and from 1e16 on, and always writes a fraction.
    """
    text = f"CAST({number} AS VARCHAR)"
    size = f"abs({number})"
    whole = f"regexp_replace({text}, '\\.0$', '')"
    mantissa = f"split_part({text}, 'e', 1)"
    sign = f"CASE WHEN {number} < 0 THEN '-' ELSE '' END"
    zeros = f"repeat('0', -1 - CAST(split_part({text}, 'e', 2) AS INTEGER))"
    digits = f"replace(replace({mantissa}, '.', ''), '-', '')"
    point_after_first = f"regexp_replace(regexp_replace({text}, '^(-?[0-9])([0-9]+)\\.0$', '\\1.\\2'), '\\.?0*$', '') || 'e15'"
    return (
        f"CASE WHEN {number} = 0 THEN '0'"
        f" WHEN {size} >= 1e-4 AND {size} < 1e15 THEN {whole}"
        f" WHEN isnan({number}) THEN 'NaN'"
        f" WHEN isinf({number}) THEN CASE WHEN {number} > 0 THEN 'Infinity' ELSE '-Infinity' END"
        f" WHEN {size} >= 1e16 OR {size} < 1e-15 THEN replace({text}, 'e+', 'e')"
        f" WHEN {size} < 1e-4 THEN {sign} || '0.' || {zeros} || {digits}"
        f" WHEN {text} LIKE '%.0' THEN {point_after_first} ELSE {text} END"
    )


def _padded(text: str, kind: LogicalType) -> str:
    """Pad the fraction of a second with zeros to the type's digits; DuckDB writes no trailing zeros.

    A text with more digits, infinity, and years beyond 9999 are left unchanged.
    """
    seconds = _WHOLE_SECONDS_LENGTH[kind.kind]
    scale = kind.scale or 0
    if not scale:
        return text
    full = seconds + 1 + scale
    return (
        f"CASE strlen({text}) WHEN {full} THEN {text} WHEN {seconds} THEN {text} || '.{'0' * scale}'"
        f" ELSE CASE WHEN strlen({text}) < {full} AND substr({text}, {seconds + 1}, 1) = '.' THEN rpad({text}, {full}, '0')"
        f" ELSE {text} END END"
    )
