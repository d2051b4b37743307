"""Map the columns of MySQL and MariaDB to logical types, and write the SQL of their canonical texts.

On the target, values are written by the source's type. A value with more than that type can render (a third decimal, a time
of day after a date) is written in full, so that it counts as a difference.
"""

from __future__ import annotations

from airflow_provider_sync.databases.mysql.type_names import BY_BYTES
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

UTF8 = frozenset({None, "utf8mb4", "utf8mb3", "utf8", "ascii"})
"""Character sets whose bytes are UTF-8; :func:`utf8_text` converts all others."""

_WITHOUT_GAPS = frozenset(
    {"latin1", "latin2", "latin5", "latin7", "koi8r", "koi8u", "cp850", "cp852", "cp866", "keybcs2", "macce", "macroman"}
    | {"utf8mb4", "utf8mb3", "utf8", "ucs2", "utf16", "utf16le", "utf32", "gb18030", None}
)
"""Character sets in which all bytes that a column can store are characters."""

NO_TEXT = b"\xff"
"""Prefix of the canonical text of a value with bytes that are no characters (:func:`has_gaps`); never occurs in UTF-8."""

_BITS = {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64}
_WHOLE = frozenset({Kind.INTEGER, Kind.BIT, Kind.YEAR})
_APPROXIMATE = frozenset({Kind.FLOAT, Kind.DOUBLE})
_TIMESTAMPS = frozenset({Kind.DATETIME, Kind.TIMESTAMP})
_MAX_DECIMALS = 30


def logical_type(column: Column) -> LogicalType:
    """Return the type of a column. Geometry is bytes: its SRID and its well-known binary form."""
    match column.kind:
        case Kind.INTEGER:
            name = column.sql_type.split("(")[0].split()[0]
            return LogicalType(kind=LogicalKind.INTEGER, bits=_BITS.get(name, 64), unsigned=column.unsigned)
        case Kind.BIT:
            return LogicalType(kind=LogicalKind.INTEGER, bits=column.length, unsigned=True)
        case Kind.YEAR:
            return LogicalType(kind=LogicalKind.INTEGER, bits=16)
        case Kind.DECIMAL:
            return LogicalType(
                kind=LogicalKind.DECIMAL, scale=column.scale or 0, precision=column.precision, unsigned=column.unsigned
            )
        case Kind.FLOAT | Kind.DOUBLE:
            return LogicalType(kind=LogicalKind.FLOAT32 if column.kind is Kind.FLOAT else LogicalKind.FLOAT64)
        case Kind.CHAR:
            return LogicalType(kind=LogicalKind.TEXT, length=column.length, fixed_width=True)
        case Kind.JSON:
            return LogicalType(kind=LogicalKind.JSON, json_dialect="mysql" if _is_binary_json(column) else "mariadb")
        case Kind.UUID:
            return LogicalType(kind=LogicalKind.UUID)
        case Kind.DATE:
            return LogicalType(kind=LogicalKind.DATE)
        case Kind.TIME:
            return LogicalType(kind=LogicalKind.TIME, scale=column.scale or 0)
        case Kind.DATETIME:
            return LogicalType(kind=LogicalKind.TIMESTAMP, scale=column.scale or 0)
        case Kind.TIMESTAMP:
            return LogicalType(kind=LogicalKind.TIMESTAMPTZ, scale=column.scale or 0)
        case Kind.BINARY | Kind.GEOMETRY:
            return LogicalType(kind=LogicalKind.BYTES, length=column.length)
        case _:
            return LogicalType(kind=LogicalKind.TEXT, length=column.length)


def canonical_text(column: Column, logical: LogicalType, name: str) -> str:
    """Return the expression of a column's canonical text.

    :param logical: type by which the values are rendered
    :param name: the quoted column
    """
    match logical.kind:
        case LogicalKind.INTEGER | LogicalKind.BOOLEAN:
            return _number(column, name, 0)
        case LogicalKind.DECIMAL:
            return _number(column, name, logical.scale)
        case LogicalKind.FLOAT32 | LogicalKind.FLOAT64 if column.kind is Kind.DECIMAL or column.kind in _WHOLE:
            return _shortest(_double(name))
        case LogicalKind.DATE if column.kind in _TIMESTAMPS:
            return _day(column, name)
        case LogicalKind.TIMESTAMP | LogicalKind.TIMESTAMPTZ if column.kind is Kind.DATE:
            return f"CONCAT({name}, ' 00:00:00{_point(logical.scale or 0)}')"
        case LogicalKind.TIMESTAMP | LogicalKind.TIMESTAMPTZ if column.kind in _TIMESTAMPS:
            return _seconds(column, name, logical.scale)
        case LogicalKind.TIME if column.kind is Kind.TIME:
            return _seconds(column, name, logical.scale)
        case LogicalKind.TEXT | LogicalKind.JSON if column.kind is Kind.BINARY:
            return name
        case _:
            return _by_column_type(column, name)


def _by_column_type(column: Column, name: str) -> str:
    """Return the expression of a value's text by the type of its column."""
    match column.kind:
        case Kind.BIT:
            return f"CAST({name} + 0 AS UNSIGNED)"
        case Kind.YEAR:
            return f"{name} + 0"
        case Kind.INTEGER | Kind.DECIMAL if column.zerofill:
            return f"{name} + 0"
        case Kind.FLOAT | Kind.DOUBLE:
            return _shortest(_double(name))
        case Kind.BINARY:
            return f"LOWER(HEX({name}))"
        case Kind.GEOMETRY:
            return f"LOWER(HEX(CAST({name} AS BINARY)))"
        case Kind.UUID | Kind.OTHER:
            return f"CAST({name} AS CHAR)"
        case Kind.JSON if _is_binary_json(column):
            return f"CAST({name} AS CHAR)"
        case _:
            return _exact_text(column, name)


def may_have_gaps(column: Column) -> bool:
    """Whether a column's character set has bytes without a character; see :func:`has_gaps`."""
    return column.charset not in _WITHOUT_GAPS


def _exact_text(column: Column, name: str) -> str:
    if column.charset == "ascii":
        return f"CAST({name} AS BINARY)"
    text, gaps = utf8_text(column, name), has_gaps(column, name)
    return f"IF({gaps}, CONCAT(x'{NO_TEXT.hex()}', CAST({name} AS BINARY)), {text})" if gaps else text


def has_gaps(column: Column, name: str) -> str | None:
    """Return the condition that a value has bytes for which its character set has no character; ``None`` if it has no such bytes.

    In cp1251, for instance, the byte 98 has none; it occurs if UTF-8 was stored there. A conversion replaces such bytes by
    ``?`` or U+FFFD, without an error. Characters that a set has twice, as cp932 does, are no gaps.
    """
    if not may_have_gaps(column):
        return None
    text = f"CONVERT({name} USING utf8mb4)"
    more = " <> ".join(f"CHAR_LENGTH(REPLACE({value}, '?', ''))" for value in (name, text))
    # Search for a question mark first: few values have one, and counting them takes long.
    suspect, unknown = (f"LOCATE(x'{found}', CAST({text} AS BINARY))" for found in ("3f", "efbfbd"))
    return f"(({suspect} AND {more}) OR {unknown})"


def utf8_text(column: Column, name: str) -> str:
    """Return a column of text as UTF-8, so that it can be concatenated with other text.

    The server refuses to concatenate texts of two different binary collations, such as ``utf8mb4_bin`` and ``utf8mb4_0900_bin``.
    """
    collation = column.collation or ""
    if column.charset in UTF8 and (not collation.endswith("_bin") or collation == f"{column.charset}_bin"):
        return name
    # A COLLATE costs nothing; a conversion copies the text.
    return f"{name} COLLATE {BY_BYTES}" if column.charset == "utf8mb4" else f"CONVERT({name} USING utf8mb4)"


def _double(name: str) -> str:
    # Cast, because a FLOAT is written with only 6 digits; add zero, because zero has no sign in the protocol.
    return f"CAST({name} AS DOUBLE) + 0e0"


def _shortest(number: str) -> str:
    """Write a double with the fewest digits that read back as the same number.

    Inside an expression MySQL truncates the text to 22 characters, so that one double in three loses digits. Its JSON has all
    digits, followed by ``.0`` for whole numbers. MariaDB always writes all digits, and skips the version comments for MySQL 8.
    """
    return f"TRIM(TRAILING '.0' FROM CAST(/*!80000 CAST(*/{number}/*!80000 AS JSON)*/ AS CHAR))"


def _number(column: Column, name: str, scale: int | None) -> str:
    if column.kind in _APPROXIMATE:
        return _approximate(_double(name), scale)
    if column.kind is not Kind.DECIMAL and column.kind not in _WHOLE:
        return _by_column_type(column, name)
    text = _by_column_type(column, name)
    column_scale = (column.scale or 0) if column.kind is Kind.DECIMAL else 0
    if column_scale == scale:
        return text
    if scale is None:
        return f"TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM CAST({text} AS CHAR)))" if column_scale else text
    if column_scale < scale:
        return f"CONCAT({text}, '{_point(scale) if not column_scale else '0' * (scale - column_scale)}')"
    cut = f"TRUNCATE({text}, {scale})"
    return f"IF({cut} = {text}, CAST({cut} AS CHAR), CAST({text} AS CHAR))"


def _approximate(number: str, scale: int | None) -> str:
    """Write a double with ``scale`` decimals if that is exact, otherwise with all its digits."""
    if scale is None:
        return _shortest(number)
    exact = f"CAST({number} AS DECIMAL(65, {min(scale, _MAX_DECIMALS)}))"
    return f"IF({exact} + 0e0 = {number}, CAST({exact} AS CHAR), {_shortest(number)})"


def _seconds(column: Column, name: str, scale: int | None) -> str:
    column_scale = column.scale or 0
    if scale is None or scale == column_scale:
        return name
    if column_scale < scale:
        return f"CONCAT({name}, '{_point(scale) if not column_scale else '0' * (scale - column_scale)}')"
    text = f"CAST({name} AS CHAR)"
    surplus = column_scale - scale
    cut = f"LEFT({text}, CHAR_LENGTH({text}) - {surplus + (not scale)})"
    return f"IF(RIGHT({text}, {surplus}) = '{'0' * surplus}', {cut}, {text})"


def _day(column: Column, name: str) -> str:
    text = f"CAST({name} AS CHAR)"
    midnight = f" 00:00:00{_point(column.scale or 0)}"
    return f"IF(SUBSTRING({text}, 11) = '{midnight}', LEFT({text}, 10), {text})"


def _point(digits: int) -> str:
    return f".{'0' * digits}" if digits else ""


def _is_binary_json(column: Column) -> bool:
    """Whether the column has MySQL's JSON type. MariaDB's is a LONGTEXT with a character set, and keeps the text unchanged."""
    return column.charset is None
