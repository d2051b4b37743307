"""Render values of any engine as text that a column of MySQL stores unchanged.

MySQL rounds 1.5 to 2 in an INT and drops the fraction of a DATETIME, both without a warning, and reads '1' as the first
member of an ENUM. Values that it would change silently are refused here. The server itself reports other errors (ranges,
lengths, dates that do not exist).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from decimal import Decimal
from math import isfinite

from airflow_provider_sync.databases.null_refusals import null_refusal
from airflow_provider_sync.databases.schema import Column, Kind, Table, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1.numbers import json_float

Texts = Sequence[str | None]
"""The values of one column; ``None`` for NULL."""

HEXADECIMAL = frozenset({Kind.BINARY, Kind.GEOMETRY})
"""Kinds whose values are written as hexadecimal text."""

_MEMBER = re.compile(r"'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_ESCAPED = re.compile(r"''|\\(.)", re.DOTALL)
_UNESCAPED = {"n": "\n", "r": "\r", "0": "\0"}
_MAX_SHOWN = 80


def texts(table: str, column: Column, values: Sequence[Value]) -> Texts:
    """Render the values of one column.

    :param table: name of the table, for messages
    :raises TableError: for a value that the column would change or cannot hold
    """
    try:
        rendered = _RENDERERS.get(column.kind, _text)(column, values)
        if column.kind is not Kind.INTEGER or not set(map(type, values)) <= {int, type(None)}:
            _check(column, rendered)
    except UnicodeError as error:
        raise TableError(f"Table {table!r}, column {column.name!r}: a value is not valid text ({error.reason}).") from error  # type: ignore[attr-defined]
    except ValueError as error:
        raise TableError(
            f"Table {table!r}, column {column.name!r} ({column.sql_type}): {error}. Change the type of the target's"
            " column, or leave it out with `columns`."
        ) from error
    return rendered


def refused_null(table: Table, column: Column) -> TableError:
    """Return the error for NULL in a column that is NOT NULL."""
    return null_refusal(table, column.name, f"ALTER TABLE … MODIFY … {column.sql_type} NULL")


def members(column: Column) -> tuple[str, ...]:
    """Return the members of an ENUM or SET in the order of their definition."""
    return tuple(_ESCAPED.sub(_unescaped, member) for member in _MEMBER.findall(column.sql_type))


def _unescaped(match: re.Match[str]) -> str:
    character = match[1] or "'"
    return _UNESCAPED.get(character, character)


def _each(values: Sequence[Value], render: Callable[[Value], str]) -> Texts:
    return [None if value is None else render(value) for value in values]


def _text(column: Column, values: Sequence[Value]) -> Texts:
    if set(map(type, values)) <= {str, type(None)}:
        return values  # type: ignore[return-value]  # just checked
    return _each(values, _as_text)


def _as_text(value: Value) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float):
        return json_float(value)
    return str(int(value)) if isinstance(value, int) else str(value)


def _numeric(column: Column, values: Sequence[Value]) -> Texts:
    types = set(map(type, values))
    if types == {int}:
        return list(map(str, values))
    return values if types <= {str, type(None)} else _each(values, _number)  # type: ignore[return-value]  # just checked


def _number(value: Value) -> str:
    """Write a number without an exponent and without rounding."""
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{value} is not a number that the column can hold")
        return format(Decimal(repr(value)), "f")
    return _as_text(value)


def _float(column: Column, values: Sequence[Value]) -> Texts:
    scale = column.scale
    float32 = column.kind is Kind.FLOAT and scale is None

    def render(value: Value) -> str:
        number = float(value)  # type: ignore[arg-type]  # never None
        if not isfinite(number):
            raise ValueError(f"{value!r} is not a number that the column can hold")
        if not isinstance(value, float) and Decimal(_as_text(value)) not in (Decimal(number), Decimal(repr(number))):
            raise ValueError(f"{_shown(_as_text(value))} would be rounded")
        rounded = number if scale is None else round(number, scale)
        if rounded != number and not (column.kind is Kind.FLOAT and _as_float32(rounded) == number):
            raise ValueError(f"{number!r} would be rounded to {scale} decimals")
        if float32 and not _is_float32(number):
            raise ValueError(f"{number!r} would be rounded to single precision")
        return repr(number)

    return _each(values, render)


def _is_float32(number: float) -> bool:
    """Whether a FLOAT stores the number exactly, or stores a value whose text of 6 to 9 digits is this number."""
    stored = _as_float32(number)
    return stored is not None and (stored == number or any(float(f"{stored:.{digits}g}") == number for digits in (6, 7, 8, 9)))


def _as_float32(number: float) -> float | None:
    """Return the number that a FLOAT stores for this one; ``None`` if it is too large."""
    try:
        return float(struct.unpack("f", struct.pack("f", number))[0])
    except OverflowError:
        return None


def _year(column: Column, values: Sequence[Value]) -> Texts:
    # MySQL reads the text 0 as 2000.
    return _each(values, lambda value: "0000" if value in (0, "0") else _as_text(value))


def _hexadecimal(column: Column, values: Sequence[Value]) -> Texts:
    rendered = _each(values, lambda value: (value if isinstance(value, bytes) else _as_text(value).encode()).hex())
    if column.sql_type.startswith("binary"):
        for text in rendered:
            if text is not None and len(text) < 2 * (column.length or 0):
                raise ValueError(f"a value of {len(text) // 2} bytes would be padded with NUL bytes")
    return rendered


_RENDERERS: dict[Kind, Callable[[Column, Sequence[Value]], Texts]] = {
    Kind.INTEGER: _numeric,
    Kind.BIT: _numeric,
    Kind.DECIMAL: _numeric,
    Kind.FLOAT: _float,
    Kind.DOUBLE: _float,
    Kind.YEAR: _year,
    Kind.BINARY: _hexadecimal,
    Kind.GEOMETRY: _hexadecimal,
}


def _check(column: Column, rendered: Texts) -> None:
    if column.kind is Kind.CHAR:
        for text in rendered:
            if text is not None and text.endswith(" "):
                raise ValueError(f"{_shown(text)} would lose its trailing spaces")
    elif column.kind in (Kind.ENUM, Kind.SET):
        _check_members(column, set(rendered))
    elif (pattern := _pattern(column)) is not None:
        present = [text for text in rendered if text is not None] if None in rendered else rendered
        if not all(map(pattern.fullmatch, present)):  # type: ignore[arg-type]  # no None is left
            wrong = next(text for text in present if text is not None and not pattern.fullmatch(text))
            raise ValueError(f"{_shown(wrong)} would be changed")


def _check_members(column: Column, found: set[str | None]) -> None:
    known = members(column)
    order = {member: place for place, member in enumerate(known)}
    for text in found - {None}:
        chosen = str(text).split(",") if column.kind is Kind.SET and text else [str(text)] if column.kind is Kind.ENUM else []
        places = [order.get(member, -1) for member in chosen]
        if -1 in places or places != sorted(set(places)):
            raise ValueError(f"{_shown(str(text))} is not one of its values as they are written and ordered there")


def _pattern(column: Column) -> re.Pattern[str] | None:
    """Return the pattern of texts that the server neither rounds nor reinterprets; ``None`` if it takes any text."""
    scale = column.scale or 0
    fraction = rf"(?:\.[0-9]{{0,{scale}}}0*)?"
    time_of_day = rf"[0-9]{{2}}:[0-9]{{2}}:[0-9]{{2}}{fraction}"
    forms = {
        Kind.INTEGER: r"-?[0-9]+(?:\.0*)?",
        Kind.BIT: r"[0-9]+",
        Kind.DATE: r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[ T]00:00:00(?:\.0*)?)?",
        Kind.TIME: rf"-?[0-9]{{1,3}}:[0-9]{{2}}:[0-9]{{2}}{fraction}",
        Kind.DATETIME: rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[ T]{time_of_day})?",
        Kind.TIMESTAMP: rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}(?:[ T]{time_of_day})?",
        # MySQL reads 0024 as 2024.
        Kind.YEAR: r"0000|[12][0-9]{3}",
    }
    form = forms.get(column.kind)
    return None if form is None else re.compile(form)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _MAX_SHOWN else f"{text[:_MAX_SHOWN]}…")
