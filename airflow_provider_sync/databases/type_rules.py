"""Decide which types of the source may be stored in which columns of the target.

Both sides render their values by the source's type. Errors that follow from the two types are raised here, before any row is
sent. Errors that depend on values, such as a number out of the column's range, are found while loading, and by the digests.
"""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.wider_types import integer_range
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

KEEPS_JSON_TEXT = frozenset({"duckdb", "mariadb", "sqlite"})
"""Dialects whose JSON columns store a text unchanged."""

_WHOLE_NUMBERS = frozenset({LogicalKind.INTEGER, LogicalKind.BOOLEAN})
_FLOATS = frozenset({LogicalKind.FLOAT32, LogicalKind.FLOAT64})
_TIMESTAMPS = frozenset({LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ})
_FRACTIONAL_SECONDS = _TIMESTAMPS | {LogicalKind.TIME}


class MappedType(msgspec.Struct, frozen=True, kw_only=True):
    """How a column of the target stores the values of the source's column.

    :ivar type: logical type by which both sides render the values
    :ivar conversion: description for people of how values are converted; ``None`` if they are not
    """

    type: LogicalType
    conversion: str | None = None


def map_type(name: str, source: LogicalType, column: Column, target: LogicalType | None) -> MappedType:
    """Decide whether a column of the target may store values of a source's type.

    :param name: name of the target table, for messages
    :param source: type of the source's column
    :param target: type of the target's column; ``None`` if version 2 cannot carry it
    :raises TableError: if it may not, naming the table, the column, both types and the remedy
    """
    if target is None:
        raise TableError(
            f"Table {name!r}, column {column.name!r} ({column.sql_type}): version 2 cannot carry this type."
            " Change it, leave the column out with `columns`, or use `protocol: 1`."
        )
    try:
        return MappedType(type=source, conversion=_conversion(source, target))
    except ValueError as error:
        raise TableError(
            f"Table {name!r}, column {column.name!r} ({column.sql_type}): {spelled(source)} of the source does not go into"
            f" {spelled(target)}: {error}, or leave the column out with `columns`."
        ) from error


def mapped_type(name: str, source: LogicalType, column: Column, target: LogicalType | None) -> LogicalType:
    """Return the logical type by which both sides render a column of the target; see :func:`map_type`."""
    return map_type(name, source, column, target).type


def spelled(logical: LogicalType) -> str:
    """Describe a type for people: ``decimal(12, 2)``, ``timestamp(6)``, ``unsigned integer``, ``json of mysql``."""
    kind = logical.kind.value
    if logical.kind is LogicalKind.DECIMAL:
        digits = [str(number) for number in (logical.precision, logical.scale) if number is not None]
        return f"{kind}({', '.join(digits)})" if digits else kind
    if logical.kind in _FRACTIONAL_SECONDS:
        return f"{kind}({logical.scale or 0})"
    if logical.json_dialect:
        return f"{kind} of {logical.json_dialect}"
    if logical.fixed_width:
        return f"fixed-width {kind}"
    return f"unsigned {kind}" if logical.unsigned else kind


def _conversion(source: LogicalType, target: LogicalType) -> str | None:
    """Describe how values are converted; ``None`` if they are not.

    :raises ValueError: with reason and remedy, if the target's column may not store the source's values
    """
    if source.kind is LogicalKind.ANY:
        if target.kind is LogicalKind.ANY:
            return None
        raise ValueError(
            "each value has a type of its own, which only a column without a type keeps. Declare a type at the source"
        )
    if target.kind is LogicalKind.ANY:
        return "kept as they come, in a column without a type"
    if {source.kind, target.kind} <= _WHOLE_NUMBERS:
        return _whole_numbers(source, target)
    if {source.kind, target.kind} <= _FLOATS:
        return _floats(source, target)
    if source.kind is target.kind:
        return _SAME_KIND.get(source.kind, _unconverted)(source, target)
    if LogicalKind.BYTES in (source.kind, target.kind):
        raise ValueError("bytes are no text. Give the target's column the type of the source's")
    if target.kind is LogicalKind.TEXT:
        return "kept as text"
    if not target.enforced:
        return "SQLite keeps what fits exactly, and refuses the rest"
    return _other_kind(source, target)


def _other_kind(source: LogicalType, target: LogicalType) -> str:
    kinds = (source.kind, target.kind)
    if source.kind in _WHOLE_NUMBERS and target.kind is LogicalKind.DECIMAL and not target.scale:
        return "whole numbers as decimals"
    if source.kind is LogicalKind.DECIMAL and source.scale == 0 and target.kind in _WHOLE_NUMBERS:
        return "whole decimals as integers"
    if set(kinds) == _TIMESTAMPS:
        _scale(source, target)
        if target.kind is LogicalKind.TIMESTAMP:
            return "the time in UTC"
        if not source.enforced:
            return "taken as UTC"
        raise ValueError("a timestamp without a time zone names no moment. Declare the target's column without a time zone")
    if kinds == (LogicalKind.TEXT, LogicalKind.JSON) and target.json_dialect in KEEPS_JSON_TEXT:
        return "text that has to be JSON"
    if kinds == (LogicalKind.TEXT, LogicalKind.UUID):
        return "text that has to be a UUID as the database writes it"
    raise ValueError(
        "the texts of the two differ. Give the target's column the type of the source's, or a text type"
        if source.kind is not LogicalKind.TEXT
        else "any text may come. Declare the target's column as text"
    )


def _unconverted(source: LogicalType, target: LogicalType) -> str | None:
    return None


def _whole_numbers(source: LogicalType, target: LogicalType) -> str | None:
    if source.kind is not target.kind:
        if target.kind is LogicalKind.BOOLEAN:
            return "0 and 1 as a boolean; other numbers are refused"
        return "a boolean as 0 and 1"
    if target.enforced:
        (source_low, source_high), (target_low, target_high) = integer_range(source), integer_range(target)
        if source_low < target_low or source_high > target_high:
            return "numbers beyond the column's range are refused"
    return "SQLite's integers end at 2**63 - 1" if source.unsigned and not target.enforced else None


def _scale(source: LogicalType, target: LogicalType) -> str | None:
    if not target.enforced or target.scale == source.scale:
        return None
    if target.scale is None:
        return "any number of digits"
    if source.scale is None or not source.enforced:
        return "values with more digits than the column has are refused"
    if target.scale < source.scale:
        raise ValueError(
            f"{source.scale} digits do not fit {target.scale}. Give the target's column as many digits, or a text type"
        )
    return "more digits than the source has"


def _decimal(source: LogicalType, target: LogicalType) -> str | None:
    if source.enforced and not target.enforced:
        return "SQLite's numbers have 15 digits; more are refused"
    return _scale(source, target)


def _floats(source: LogicalType, target: LogicalType) -> str | None:
    if source.kind is target.kind:
        return None
    if target.kind is LogicalKind.FLOAT64:
        return "the nearest double"
    if not source.enforced:
        return "doubles that a float32 cannot hold are refused"
    raise ValueError("doubles would be rounded. Give the target's column double precision, or a text type")


def _text(source: LogicalType, target: LogicalType) -> str | None:
    if source.shortest and target.length is not None and target.length < source.shortest and target.enforced:
        raise ValueError(f"each value has {source.shortest} characters, and it has room for {target.length}. Widen it")
    if target.fixed_width and not source.fixed_width:
        return "spaces at the end are refused"
    return "no spaces at the end" if source.fixed_width and not target.fixed_width else None


def _json(source: LogicalType, target: LogicalType) -> str | None:
    if source.json_dialect == target.json_dialect:
        return None
    if target.json_dialect in KEEPS_JSON_TEXT:
        return "kept as the source writes it"
    raise ValueError("the target's database rewrites JSON, which no digest survives. Give the target's column a text type")


_SAME_KIND = {
    LogicalKind.DECIMAL: _decimal,
    LogicalKind.TEXT: _text,
    LogicalKind.TIME: _scale,
    LogicalKind.TIMESTAMP: _scale,
    LogicalKind.TIMESTAMPTZ: _scale,
    LogicalKind.JSON: _json,
}
