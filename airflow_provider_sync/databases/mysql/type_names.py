"""Choose MySQL's or MariaDB's type for each logical type, for targets that are created from the source's description."""

from __future__ import annotations

from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_MAX_SHORT = 255
"""Maximum characters of a VARCHAR; longer texts get a type that does not count towards the 65,535 bytes of a row."""

_MAX_KEY_CHARACTERS = 768  # an index takes 3,072 bytes, and a character up to four
_MAX_KEY_BYTES = 3072
_MAX_DIGITS, _MAX_DECIMALS = 65, 30
_MAX_SECOND_DIGITS = 6
_SECONDS_AS_TEXT = 40
"""Maximum digits of a second; timestamps with more, as DuckDB has, are stored as text."""
BY_BYTES = "utf8mb4_bin"
"""A collation that every server has and that compares by bytes, except for trailing spaces."""

NO_UPDATES = "DEFAULT '2000-01-01 00:00:00'"
"""A default, since MariaDB before 10.10 otherwise changes a TIMESTAMP that is NOT NULL with every update of its row."""

_MAX_VARIABLE = 16_000
"""Longest VARCHAR and VARBINARY to which a column is widened: a row has 65,535 bytes, and a character up to four."""

_WIDENED = frozenset(
    {
        *(Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.CHAR, Kind.TEXT, Kind.BINARY),
        *(Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP),
    }
)
_INTEGERS = ((8, "TINYINT"), (16, "SMALLINT"), (24, "MEDIUMINT"), (32, "INT"))


def sql_type(logical: LogicalType, *, key: bool, collation: str = BY_BYTES) -> str:
    """Return the type of a column that holds every value of a logical type, if MySQL has one.

    :param key: whether the column is part of the primary key, in which long texts do not fit
    :param collation: collation of texts, so that keys which differ on another database are not equal here
    """
    unicode = f"CHARACTER SET utf8mb4 COLLATE {collation}"
    match logical.kind:
        case LogicalKind.BOOLEAN:
            return "BOOLEAN"
        case LogicalKind.INTEGER:
            name = next((name for max_bits, name in _INTEGERS if (logical.bits or 64) <= max_bits), "BIGINT")
            return f"{name} UNSIGNED" if logical.unsigned else name
        case LogicalKind.DECIMAL:
            scale = _MAX_DECIMALS if logical.scale is None else min(logical.scale, _MAX_DECIMALS)
            return f"DECIMAL({min(logical.precision or _MAX_DIGITS, _MAX_DIGITS)},{scale})"
        case LogicalKind.FLOAT32:
            return "FLOAT"
        case LogicalKind.FLOAT64:
            return "DOUBLE"
        case LogicalKind.TEXT | LogicalKind.ANY:
            return f"{_text(logical, key=key)} {unicode}"
        case LogicalKind.BYTES:
            length = logical.length or (_MAX_SHORT if key else _MAX_SHORT + 1)
            return f"VARBINARY({min(length, _MAX_KEY_BYTES)})" if key or length <= _MAX_SHORT else "LONGBLOB"
        case LogicalKind.DATE:
            return "DATE"
        case LogicalKind.UUID:
            return "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"
        case LogicalKind.JSON:
            return "JSON" if logical.json_dialect == "mysql" else f"LONGTEXT {unicode}"
    if (logical.scale or 0) > _MAX_SECOND_DIGITS:
        return f"VARCHAR({_SECONDS_AS_TEXT}) {unicode}"
    name = {LogicalKind.TIME: "TIME", LogicalKind.TIMESTAMP: "DATETIME", LogicalKind.TIMESTAMPTZ: "TIMESTAMP"}[logical.kind]
    return f"{name}({logical.scale or 0})"


def definition(sql_type: str, *, required: bool) -> str:
    """Return the SQL that follows a column's name in a CREATE TABLE.

    On older servers a TIMESTAMP is NOT NULL and changes with every update unless its definition says otherwise.
    """
    if not sql_type.startswith("TIMESTAMP"):
        return f"{sql_type}{' NOT NULL' if required else ''}"
    return f"{sql_type} NOT NULL {NO_UPDATES}" if required else f"{sql_type} NULL DEFAULT NULL"


def wider_type(column: Column, logical: LogicalType, *, key: bool) -> str | None:
    """Return the type, without a character set, to which a column can be widened so that it holds every value of ``logical``.

    :param key: whether the column is part of the primary key
    :return: ``None`` if the column already has this type, or if no type is suitable: for zero-filled numbers, for more digits
        than a decimal can have, and for types that only look like numbers or text, such as YEAR and ENUM
    """
    if column.kind not in _WIDENED or column.zerofill or column.generated:
        return None
    match logical.kind:
        case LogicalKind.DECIMAL if (logical.precision or 0) > _MAX_DIGITS or (logical.scale or 0) > _MAX_DECIMALS:
            return None
        case LogicalKind.DECIMAL if logical.precision is None and _whole_digits(column) > _MAX_DIGITS - _MAX_DECIMALS:
            return None
        case LogicalKind.TIME | LogicalKind.TIMESTAMP | LogicalKind.TIMESTAMPTZ if (logical.scale or 0) > _MAX_SECOND_DIGITS:
            return None
        case LogicalKind.TEXT if logical.fixed_width and logical.length and logical.length <= _MAX_SHORT:
            wider = f"CHAR({logical.length})"
        case LogicalKind.TEXT:
            wider = _variable("VARCHAR", "LONGTEXT", logical.length)
        case LogicalKind.BYTES:
            wider = _variable("VARBINARY", "LONGBLOB", logical.length)
        case _:
            wider = sql_type(logical, key=key)
    return wider if wider.lower() != column.sql_type else None


def _variable(name: str, unlimited: str, length: int | None) -> str:
    """Return a type with a length, which an index on the column requires, if it fits into a row."""
    return f"{name}({length})" if length is not None and length <= _MAX_VARIABLE else unlimited


def _whole_digits(column: Column) -> int:
    return (column.precision or 0) - (column.scale or 0)


def _text(logical: LogicalType, *, key: bool) -> str:
    length = logical.length or (_MAX_SHORT if key else _MAX_SHORT + 1)
    if logical.fixed_width and length <= _MAX_SHORT:
        return f"CHAR({length})"
    if key:
        return f"VARCHAR({min(length, _MAX_KEY_CHARACTERS)})"
    return f"VARCHAR({length})" if length <= _MAX_SHORT else "LONGTEXT"
