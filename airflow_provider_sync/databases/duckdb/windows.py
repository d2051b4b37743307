"""Conditions on the column of a window, whose ends are texts that a client chose."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from airflow_provider_sync.databases.duckdb.text import literal, parsed
from airflow_provider_sync.databases.schema import TEXTUAL, Column, Kind
from airflow_provider_sync.exceptions import TableError

_NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT, Kind.DOUBLE})
_INTEGER_DIGITS = 20
_DOUBLE_DIGITS = 300


def window_bound(column: Column, name: str, sign: str, text: str) -> str:
    """Return the condition that a value lies on one side of an end of a window; NULL never does.

    :param name: the quoted column
    :param sign: ``>=`` or ``<``
    :param text: canonical text of the end
    :raises TableError: if the column can hold no such value
    """
    if column.kind in _NUMBERS:
        return _number_bound(column, name, sign, text)
    if column.kind in TEXTUAL:
        return f"encode(CAST({name} AS VARCHAR)) {sign} encode({literal(text)})"
    if column.kind is Kind.TIMESTAMP:
        return f"{name} {sign} CAST({literal(text)} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    if column.kind is Kind.BINARY:
        return f"{name} {sign} {parsed(column, literal(text))}"
    return f"{name} {sign} CAST({literal(text)} AS {column.sql_type})"


def _number_bound(column: Column, name: str, sign: str, text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite():
        raise TableError(f"A window cannot begin or end at {text[:80]!r}: its column holds numbers.").without_subject()
    if number and number.adjusted() >= _digits(column):
        # Beyond all values of the column, which DuckDB could not compare with it.
        return f"{name} IS NOT NULL" if (sign == ">=") == (number < 0) else "false"
    return f"{name} {sign} {number:f}"


def _digits(column: Column) -> int:
    """Return how many digits before the point the column's numbers have at most."""
    match column.kind:
        case Kind.INTEGER:
            return _INTEGER_DIGITS
        case Kind.DECIMAL:
            return (column.precision or 0) - (column.scale or 0)
    return _DOUBLE_DIGITS
