"""Choose DuckDB's type for each logical type, for targets that are created from the source's description."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

MAX_DIGITS = 38
"""Maximum digits of a DECIMAL."""

_INTEGERS = ((8, "TINYINT"), (16, "SMALLINT"), (32, "INTEGER"), (64, "BIGINT"))
_MICROSECONDS = 6

_TYPES = {
    LogicalKind.BOOLEAN: "BOOLEAN",
    LogicalKind.FLOAT32: "FLOAT",
    LogicalKind.FLOAT64: "DOUBLE",
    LogicalKind.BYTES: "BLOB",
    LogicalKind.DATE: "DATE",
    LogicalKind.TIME: "TIME",
    LogicalKind.TIMESTAMPTZ: "TIMESTAMP WITH TIME ZONE",
    LogicalKind.UUID: "UUID",
    LogicalKind.JSON: "JSON",
}


def sql_type(logical: LogicalType) -> str:
    """Return the type of a column that holds every value of a logical type."""
    match logical.kind:
        case LogicalKind.INTEGER:
            name = next((name for bits, name in _INTEGERS if (logical.bits or 64) <= bits), "HUGEINT")
            return f"U{name}" if logical.unsigned else name
        case LogicalKind.DECIMAL if logical.scale is not None and 0 < (logical.precision or 0) <= MAX_DIGITS:
            return f"DECIMAL({logical.precision}, {logical.scale})"
        case LogicalKind.TIMESTAMP:
            return "TIMESTAMP" if (logical.scale or 0) <= _MICROSECONDS else "TIMESTAMP_NS"
    return _TYPES.get(logical.kind, "VARCHAR")
