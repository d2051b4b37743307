"""Interpret SQLite's declared types: affinities, logical kinds, and the values that columns store unchanged.

SQLite silently converts a value to the affinity of its column. Rows from other engines are therefore converted here
first, either exactly or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from decimal import Decimal
from enum import StrEnum
from math import isfinite, isnan

from airflow_provider_sync.databases.schema import Column, Kind, Table, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1.numbers import json_float

INT64 = range(-(2**63), 2**63)

NUMBER = re.compile(r"[ \t\n\v\f\r]*[+-]?([0-9]++\.?[0-9]*+|\.[0-9]++)([eE][+-]?[0-9]++)?[ \t\n\v\f\r]*+")
"""Text that a numeric column of SQLite converts to a number; other text stays text (SQLite, "Datatypes", 3)."""

_KINDS = (
    ("BOOL", Kind.BOOLEAN),
    ("INT", Kind.INTEGER),
    ("CHAR", Kind.TEXT),
    ("CLOB", Kind.TEXT),
    ("TEXT", Kind.TEXT),
    ("BLOB", Kind.BINARY),
    ("BINARY", Kind.BINARY),
    ("REAL", Kind.DOUBLE),
    ("FLOA", Kind.DOUBLE),
    ("DOUB", Kind.DOUBLE),
    ("DEC", Kind.DECIMAL),
    ("NUM", Kind.DECIMAL),
    ("DATETIME", Kind.DATETIME),
    ("TIMESTAMP", Kind.TIMESTAMP),
    ("DATE", Kind.DATE),
    ("TIME", Kind.TIME),
    ("YEAR", Kind.YEAR),
    ("JSON", Kind.JSON),
    ("UUID", Kind.UUID),
)


class Affinity(StrEnum):
    """The type to which a column converts its values."""

    INTEGER = "INTEGER"
    TEXT = "TEXT"
    BLOB = "BLOB"  # nothing is converted
    REAL = "REAL"
    NUMERIC = "NUMERIC"


def affinity_of(sql_type: str, *, strict: bool = False) -> Affinity:
    """Return the affinity of a declared type, by the rules of the manual ("Datatypes", 3.1).

    :param strict: whether the table is STRICT, in which ``ANY`` converts nothing
    """
    name = sql_type.upper()
    if "INT" in name:
        return Affinity.INTEGER
    if any(part in name for part in ("CHAR", "CLOB", "TEXT")):
        return Affinity.TEXT
    if not name or "BLOB" in name or (strict and name == "ANY"):
        return Affinity.BLOB
    if any(part in name for part in ("REAL", "FLOA", "DOUB")):
        return Affinity.REAL
    return Affinity.NUMERIC


def kind_of(sql_type: str) -> Kind:
    """Return the logical kind of a declared type, which SQLite itself does not enforce."""
    name = sql_type.partition("(")[0].upper()
    return next((kind for part, kind in _KINDS if part in name), Kind.OTHER)


def sizes_of(sql_type: str) -> tuple[int, ...]:
    """Return the numbers in the parentheses of a declared type."""
    match = re.search(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", sql_type)
    return tuple(int(number) for number in match.groups() if number) if match else ()


def storable(values: Sequence[Value], column: Column, affinity: Affinity) -> Sequence[Value]:
    """Convert the values of one column to values that SQLite stores unchanged.

    A decimal such as ``1.10`` becomes the number 1.1 in a numeric column. Text in a binary column becomes its UTF-8 bytes,
    since version 1 sends bytes as text.

    :raises ValueError: with the reason, for a value that the column would change
    """
    types = set(map(type, values))
    types.discard(type(None))
    if float in types and any(isinstance(value, float) and isnan(value) for value in values):
        raise ValueError("SQLite stores NaN as NULL")
    if affinity is Affinity.TEXT:
        return [_text(value) for value in values] if types & {int, float} else values
    if column.kind is Kind.BINARY and str in types:
        values = [value.encode() if isinstance(value, str) else value for value in values]
    elif str in types and affinity is not Affinity.BLOB:
        values = [_number(value) if isinstance(value, str) else value for value in values]
    if affinity is Affinity.REAL:
        for value in values:
            if isinstance(value, int) and value != float(value):
                raise ValueError(f"{value} would be rounded")
    integers = [value for value in values if isinstance(value, int)] if int in types or str in types else []
    if integers and not (min(integers) in INT64 and max(integers) in INT64):
        raise ValueError(f"SQLite has no integer as large as {max(integers, key=abs)}")
    return values


def check_key(table: Table, column: Column, values: Collection[object]) -> None:
    """Refuse NULL in an INTEGER PRIMARY KEY, which SQLite would replace by a number (SQLite, "CREATE TABLE", ROWIDs).

    :raises TableError: naming table and column
    """
    if None in values and table.primary_key == (column.name,) and column.sql_type.upper() == "INTEGER":
        raise TableError(
            f"Table {table.label!r}, column {column.name!r} ({column.sql_type}): a value is missing (NULL), and SQLite would make"
            " up a number, since the column is the key. Give each row of the source a key, or leave out those without."
        )


def refusal(table: str, column: Column, reason: object) -> TableError:
    """Return the error for a value that a column cannot store."""
    return TableError(
        f"Table {table!r}, column {column.name!r} ({column.sql_type or 'no type'}): {reason}."
        " Declare the column TEXT in the target to keep such values as they are."
    )


def _text(value: Value) -> Value:
    """Return the value as a TEXT column stores it; floats must be text, since SQLite would write them with only 15 digits."""
    if isinstance(value, float):
        if not isfinite(value):
            raise ValueError(f"{value} has no text form")
        return json_float(value)
    return str(value) if isinstance(value, int) else value


def _number(text: str) -> Value:
    if not NUMBER.fullmatch(text):
        return text
    exact = Decimal(text.strip())
    # Check the size first: int() of a short text with a large exponent would fill the memory.
    if exact.adjusted() < 20 and exact == exact.to_integral_value() and int(exact) in INT64:
        return int(exact)
    number = float(text)
    if not isfinite(number) or Decimal(repr(number)) != exact:
        raise ValueError(f"{text.strip()} would be rounded")
    return number
