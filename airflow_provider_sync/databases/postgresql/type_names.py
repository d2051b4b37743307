"""Choose PostgreSQL's type for each logical type, for targets that are created from the source's description."""

from __future__ import annotations

from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_MAX_CHARACTERS = 10_485_760
_MAX_DIGITS = 1000
_MAX_SECOND_DIGITS = 6
"""Maximum digits of a second; timestamps with more, as DuckDB has, are stored as text."""

_INTEGERS = ((15, "SMALLINT"), (31, "INTEGER"), (63, "BIGINT"))
"""Bits of the integer types, without the sign."""

_TYPES = {
    LogicalKind.FLOAT32: "REAL",
    LogicalKind.FLOAT64: "DOUBLE PRECISION",
    LogicalKind.BYTES: "BYTEA",
    LogicalKind.DATE: "DATE",
    LogicalKind.UUID: "UUID",
}
_FRACTIONAL_SECONDS = {LogicalKind.TIME: "TIME", LogicalKind.TIMESTAMP: "TIMESTAMP", LogicalKind.TIMESTAMPTZ: "TIMESTAMPTZ"}


def sql_type(logical: LogicalType) -> str:
    """Return the type of a column that holds every value of a logical type."""
    match logical.kind:
        case LogicalKind.BOOLEAN:
            return "BOOLEAN"
        case LogicalKind.INTEGER:
            bits = (logical.bits or 64) - (0 if logical.unsigned else 1)
            return next((name for max_bits, name in _INTEGERS if bits <= max_bits), "NUMERIC(20)")
        case LogicalKind.DECIMAL if logical.precision and logical.scale is not None and logical.precision <= _MAX_DIGITS:
            return f"NUMERIC({logical.precision}, {logical.scale})"
        case LogicalKind.DECIMAL:
            return "NUMERIC"
        case LogicalKind.TEXT if logical.length and logical.length <= _MAX_CHARACTERS:
            return f"{'CHAR' if logical.fixed_width else 'VARCHAR'}({logical.length})"
        case LogicalKind.JSON if logical.json_dialect == "postgresql":
            return "JSONB"
        case kind if kind in _FRACTIONAL_SECONDS and (logical.scale or 0) <= _MAX_SECOND_DIGITS:
            return f"{_FRACTIONAL_SECONDS[kind]}({logical.scale or 0})"
    return _TYPES.get(logical.kind, "TEXT")
