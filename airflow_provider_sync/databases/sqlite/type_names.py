"""Choose SQLite's type for each logical type, for targets that are created from the source's description."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_MAX_EXACT_DIGITS = 15
"""Maximum digits with which every decimal can be stored as a double and read back."""

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
    """Return the type of a column that stores every value of a logical type exactly, if SQLite has one."""
    match logical.kind:
        case LogicalKind.DECIMAL if (
            logical.scale is not None and (logical.precision or _MAX_EXACT_DIGITS + 1) <= _MAX_EXACT_DIGITS
        ):
            return f"DECIMAL({logical.precision}, {logical.scale})"
        case LogicalKind.DECIMAL:
            return "TEXT" if logical.enforced else "NUMERIC"
        case LogicalKind.TEXT if logical.length:
            return f"{'CHAR' if logical.fixed_width else 'VARCHAR'}({logical.length})"
    # JSON is TEXT, too: a column declared JSON would convert the text `1.0` to a number.
    return _TYPES.get(logical.kind, "TEXT")
