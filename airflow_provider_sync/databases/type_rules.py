"""Which types of a source may land in which columns of a target.

Both sides render their values by the source's type. What the source's type promises is decided here, before a row is sent;
what only the values can tell (a number beyond a column's range) is found when they are loaded, and checked by digests.
"""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

SQLITE = "sqlite"
"""The dialect whose types are declared and not enforced: only the values tell."""

KEEPS_JSON = frozenset({"mariadb", SQLITE})
"""Dialects whose JSON columns keep a text as it was written."""

_SECONDS = frozenset({LogicalKind.TIME, LogicalKind.TIMESTAMP, LogicalKind.INSTANT})
_MOMENTS = frozenset({LogicalKind.TIMESTAMP, LogicalKind.INSTANT})


class Landing(msgspec.Struct, frozen=True, kw_only=True):
    """How values of a source's column stand in a target's.

    :ivar type: by which both sides render them
    :ivar conversion: what happens to them, in words; ``None`` where they are simply equal
    """

    type: LogicalType
    conversion: str | None = None


def target_type(name: str, source: LogicalType, target: Column, own: LogicalType | None) -> Landing:
    """Decide whether a column of the source may land in a column of the target.

    :param name: the target's table, for messages
    :param own: type of the target's column; ``None`` for one that version 2 cannot carry
    :raises TableError: naming table, column, both types and the remedy
    """
    if own is None:
        raise TableError(
            f"Table {name!r}, column {target.name!r} ({target.sql_type}): version 2 cannot carry this type."
            " Change it, leave the column out with `columns`, or use `protocol: 1`."
        )
    try:
        return Landing(type=source, conversion=_conversion(source, own))
    except ValueError as error:
        raise TableError(
            f"Table {name!r}, column {target.name!r} ({target.sql_type}): {spelled(source)} of the source does not go into"
            f" {spelled(own)}: {error}, or leave the column out with `columns`."
        ) from error


def landing_type(name: str, source: LogicalType, target: Column, own: LogicalType | None) -> LogicalType:
    """Return the type by which a column of the target is rendered; see :func:`target_type`."""
    return target_type(name, source, target, own).type


def spelled(logical: LogicalType) -> str:
    """Write a type for people: ``decimal(12, 2)``, ``timestamp(6)``, ``unsigned integer``."""
    kind = logical.kind.value
    if logical.kind is LogicalKind.DECIMAL:
        sizes = [str(size) for size in (logical.size, logical.scale) if size is not None]
        return f"{kind}({', '.join(sizes)})" if sizes else kind
    if logical.kind in _SECONDS:
        return f"{kind}({logical.scale or 0})"
    if logical.kind is LogicalKind.INTEGER and logical.fixed and logical.size == 1:
        return "boolean"
    if logical.kind is LogicalKind.JSON and logical.dialect:
        return f"{kind} of {logical.dialect}"
    if is_untyped(logical):
        return "a column without a type"
    words = [
        *(["unsigned"] if logical.unsigned else []),
        *(["single"] if logical.single else []),
        *(["fixed"] if logical.fixed else []),
    ]
    return " ".join([*words, kind])


def is_untyped(logical: LogicalType) -> bool:
    """Whether a column holds values of any type, as SQLite's may that declare none."""
    return logical.kind is LogicalKind.TEXT and logical.dialect is not None


def _conversion(source: LogicalType, own: LogicalType) -> str | None:
    """Name what happens to values; :exc:`ValueError` with the remedy where it must not."""
    if is_untyped(source):
        if source == own:
            return None
        raise ValueError("its values tell their types, which only a column without a type keeps. Declare a type at the source")
    if is_untyped(own):
        return "kept as they come, in a column without a type"
    if source.kind is own.kind:
        return _SAME.get(source.kind, _nothing)(source, own)
    if LogicalKind.BYTES in (source.kind, own.kind):
        raise ValueError("bytes are no text. Give the target's column the type of the source's")
    if own.kind is LogicalKind.TEXT:
        return "kept as text"
    if own.dialect == SQLITE:
        return "SQLite keeps what fits exactly, and refuses the rest"
    return _between(source, own)


def _between(source: LogicalType, own: LogicalType) -> str:
    kinds = (source.kind, own.kind)
    whole = (own if own.kind is LogicalKind.DECIMAL else source).scale
    if kinds == (LogicalKind.INTEGER, LogicalKind.DECIMAL) and not whole:
        return "whole numbers as decimals"
    if kinds == (LogicalKind.DECIMAL, LogicalKind.INTEGER) and whole == 0:
        return "whole decimals as integers"
    if set(kinds) == _MOMENTS:
        _scale(source, own)
        if own.kind is LogicalKind.TIMESTAMP:
            return "the time in UTC"
        if source.dialect == SQLITE:
            return "taken as UTC"
        raise ValueError("a time without a zone is no instant. Declare the target's column without a zone")
    if kinds == (LogicalKind.TEXT, LogicalKind.JSON) and own.dialect in KEEPS_JSON:
        return "text that has to be JSON"
    if kinds == (LogicalKind.TEXT, LogicalKind.UUID):
        return "text that has to be a UUID as the database writes it"
    raise ValueError(
        "the texts of the two differ. Give the target's column the type of the source's, or a text type"
        if source.kind is not LogicalKind.TEXT
        else "any text may come. Declare the target's column as text"
    )


def _nothing(source: LogicalType, own: LogicalType) -> str | None:
    return None


def _integer(source: LogicalType, own: LogicalType) -> str | None:
    if own.fixed and not source.fixed:
        return "0 and 1 as a boolean; other numbers are refused"
    if source.fixed and not own.fixed:
        return "a boolean as 0 and 1"
    if (
        own.dialect != SQLITE
        and _range(own) != _range(source)
        and not _range(own)[0] <= _range(source)[0] <= (_range(source)[1]) <= _range(own)[1]
    ):
        return "numbers beyond the column's range are refused"
    return "SQLite's integers end at 2**63 - 1" if source.unsigned and own.dialect == SQLITE else None


def _range(logical: LogicalType) -> tuple[int, int]:
    bits = logical.size or 64
    return (0, 2**bits - 1) if logical.unsigned else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def _scale(source: LogicalType, own: LogicalType) -> str | None:
    if own.dialect == SQLITE or own.scale == source.scale:
        return None
    if own.scale is None:
        return "any number of digits"
    if source.scale is None or source.dialect == SQLITE:
        return "values with more digits than the column has are refused"
    if own.scale < source.scale:
        raise ValueError(f"{source.scale} digits do not fit {own.scale}. Give the target's column as many digits, or a text type")
    return "more digits than the source has"


def _decimal(source: LogicalType, own: LogicalType) -> str | None:
    if own.dialect == SQLITE and source.dialect != SQLITE:
        return "SQLite's numbers have 15 digits; more are refused"
    return _scale(source, own)


def _float(source: LogicalType, own: LogicalType) -> str | None:
    if own.single and not source.single:
        if source.dialect == SQLITE:
            return "doubles that are no singles are refused"
        raise ValueError("doubles would be rounded. Give the target's column double precision, or a text type")
    return "the double nearest to the single" if source.single and not own.single else None


def _text(source: LogicalType, own: LogicalType) -> str | None:
    if own.fixed and not source.fixed:
        return "spaces at the end are refused"
    return "no spaces at the end" if source.fixed and not own.fixed else None


def _json(source: LogicalType, own: LogicalType) -> str | None:
    if source.dialect == own.dialect:
        return None
    if own.dialect in KEEPS_JSON:
        return "kept as the source writes it"
    raise ValueError("the target's database writes JSON anew, which no digest survives. Give the target's column a text type")


_SAME = {
    LogicalKind.INTEGER: _integer,
    LogicalKind.DECIMAL: _decimal,
    LogicalKind.FLOAT: _float,
    LogicalKind.TEXT: _text,
    LogicalKind.TIME: _scale,
    LogicalKind.TIMESTAMP: _scale,
    LogicalKind.INSTANT: _scale,
    LogicalKind.JSON: _json,
}
