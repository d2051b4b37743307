"""MySQL's and MariaDB's type for each logical type, for targets that are made from the source's description."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_SHORT = 255
"""Longer texts go into types that do not count into the 65,535 bytes of a row."""

_KEY_CHARACTERS = 768  # an index takes 3,072 bytes, and a character up to four
_KEY_BYTES = 3072
_MOST_DIGITS, _MOST_DECIMALS = 65, 30
_UNICODE = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
"""Keys that other databases tell apart must not be equal here."""

_INTEGERS = ((8, "TINYINT"), (16, "SMALLINT"), (24, "MEDIUMINT"), (32, "INT"))


def sql_type(logical: LogicalType, *, key: bool) -> str:
    """Return the type of a column that holds every value of a logical type, where MySQL has one.

    :param key: whether the column is part of the primary key, which has no room for long texts
    """
    match logical.kind:
        case LogicalKind.BOOLEAN:
            return "BOOLEAN"
        case LogicalKind.INTEGER:
            name = next((name for most, name in _INTEGERS if (logical.bits or 64) <= most), "BIGINT")
            return f"{name} UNSIGNED" if logical.unsigned else name
        case LogicalKind.DECIMAL:
            scale = _MOST_DECIMALS if logical.scale is None else min(logical.scale, _MOST_DECIMALS)
            return f"DECIMAL({min(logical.precision or _MOST_DIGITS, _MOST_DIGITS)},{scale})"
        case LogicalKind.FLOAT32:
            return "FLOAT"
        case LogicalKind.FLOAT64:
            return "DOUBLE"
        case LogicalKind.TEXT | LogicalKind.ANY:
            return f"{_text(logical, key=key)} {_UNICODE}"
        case LogicalKind.BYTES:
            length = logical.length or (_SHORT if key else _SHORT + 1)
            return f"VARBINARY({min(length, _KEY_BYTES)})" if key or length <= _SHORT else "LONGBLOB"
        case LogicalKind.DATE:
            return "DATE"
        case LogicalKind.UUID:
            return "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"
        case LogicalKind.JSON:
            return "JSON" if logical.json_dialect == "mysql" else f"LONGTEXT {_UNICODE}"
    name = {LogicalKind.TIME: "TIME", LogicalKind.TIMESTAMP: "DATETIME", LogicalKind.TIMESTAMPTZ: "TIMESTAMP"}[logical.kind]
    return f"{name}({logical.scale or 0})"


def definition(sql_type: str, *, required: bool) -> str:
    """Return what follows the name of a column.

    A TIMESTAMP of older servers is NOT NULL, and changes with every update, unless it is told otherwise.
    """
    if not sql_type.startswith("TIMESTAMP"):
        return f"{sql_type}{' NOT NULL' if required else ''}"
    return f"{sql_type} NOT NULL DEFAULT '2000-01-01 00:00:00'" if required else f"{sql_type} NULL DEFAULT NULL"


def _text(logical: LogicalType, *, key: bool) -> str:
    length = logical.length or (_SHORT if key else _SHORT + 1)
    if logical.fixed_width and length <= _SHORT:
        return f"CHAR({length})"
    if key:
        return f"VARCHAR({min(length, _KEY_CHARACTERS)})"
    return f"VARCHAR({length})" if length <= _SHORT else "LONGTEXT"
