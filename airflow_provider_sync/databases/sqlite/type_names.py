"""SQLite's type for each logical type, for targets that are made from the source's description."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_EXACT_DIGITS = 15
"""Decimals of so many digits are the same again after they were a double."""

_TYPES = {
    LogicalKind.INTEGER: "INTEGER",
    LogicalKind.BOOLEAN: "BOOLEAN",
    LogicalKind.FLOAT32: "DOUBLE",
    LogicalKind.FLOAT64: "DOUBLE",
    LogicalKind.BYTES: "BLOB",
    LogicalKind.DATE: "DATE",
    LogicalKind.TIME: "TIME",
    LogicalKind.TIMESTAMP: "DATETIME",
    LogicalKind.TIMESTAMPTZ: "TIMESTAMP",
    LogicalKind.ANY: "",
}


def sql_type(logical: LogicalType) -> str:
    """Return the type of a column that holds every value of a logical type exactly, where SQLite has one."""
    match logical.kind:
        case LogicalKind.DECIMAL if logical.scale is not None and (logical.precision or _EXACT_DIGITS + 1) <= _EXACT_DIGITS:
            return f"DECIMAL({logical.precision}, {logical.scale})"
        case LogicalKind.DECIMAL:
            return "TEXT" if logical.enforced else "NUMERIC"
        case LogicalKind.TEXT if logical.length:
            return f"{'CHAR' if logical.fixed_width else 'VARCHAR'}({logical.length})"
    # JSON as well: a column that is declared so makes a number of `1.0`.
    return _TYPES.get(logical.kind, "TEXT")
