"""Build the statements that read a table slice on SQLite by window, key range and keys, and stream their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product, repeat
from threading import Lock
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.partitioning import key_range_conditions
from airflow_provider_sync.databases.schema import Column, Kind, Value
from airflow_provider_sync.databases.sqlite.affinities import Affinity, affinity_of
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.databases.sqlite.text import SECONDS, computed_decimal, expression, logical_type
from airflow_provider_sync.databases.sqlite.text_load import stored_value
from airflow_provider_sync.databases.table_slice import CanonicalColumn, Keys, TableSlice
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_FETCHED_ROWS = 1_000
"""Rows fetched and converted at a time: few enough to stay in the processor's cache, which is measurably faster."""

_FETCHING = Lock()
"""Lock that a thread holds while it fetches. The driver releases the GIL at every row, so two fetching threads would switch at
each row, which takes 1.5 times as long as fetching one after the other."""

_LOOKUP_VALUES = 900
"""Maximum bound values in one lookup statement; older builds of SQLite allow 999."""

Text = tuple[Any, ...]
"""A row of canonical texts: ``bytes`` or ``None``."""

NUMERIC = frozenset({Affinity.INTEGER, Affinity.NUMERIC, Affinity.REAL})
_NUMBERS = frozenset({LogicalKind.INTEGER, LogicalKind.BOOLEAN, LogicalKind.DECIMAL, LogicalKind.FLOAT32, LogicalKind.FLOAT64})


class SliceSQL:
    """Builds the statements that read one table slice; the table has the alias ``t``.

    :param database: quotes names
    """

    def __init__(self, table_slice: TableSlice, database: Database) -> None:
        self.table_slice = table_slice
        self.quote = database.quote
        self.relation = database.relation(table_slice.table)
        self.current = database.current(table_slice.table, "t")

    def _name(self, column: CanonicalColumn) -> str:
        return f"t.{self.quote(column.column.name)}"

    def canonical(self, column: CanonicalColumn, render: Callable[[str, LogicalType, Affinity], str] = expression) -> str:
        """Return the expression for a column's canonical text."""
        if self._is_computed_decimal(column):
            render = computed_decimal
        return f"CAST({render(self._name(column), column.type, affinity(column.column))} AS TEXT)"

    def _is_computed_decimal(self, column: CanonicalColumn) -> bool:
        """Tell whether SQLite computes a column by floating point that the source has with a fixed number of digits."""
        declared, logical = column.column, column.type
        has_scale = logical.kind is LogicalKind.DECIMAL and logical.scale is not None
        return declared.generated and declared.kind is Kind.DECIMAL and has_scale and column not in self.table_slice.key

    def select(self, condition: str) -> str:
        """Return the statement that reads the canonical texts of the rows that satisfy a condition."""
        expressions = ", ".join(map(self.canonical, self.table_slice.columns))
        return f"SELECT {expressions} FROM {self.relation} AS t{where(condition)}"

    def condition(self) -> tuple[str, tuple[Value, ...]]:
        """Return the slice's condition (window, key range, current rows), empty if it has none, and the values to bind."""
        conditions = [*filter(None, [self.current])]
        if self.table_slice.key_range is not None:
            key = self.table_slice.key[0]
            number = self._name(key) if affinity(key.column) in NUMERIC else f"sync_order({self._name(key)})"
            conditions += key_range_conditions(number, self.table_slice.key_range)
        if self.table_slice.window is None:
            return " AND ".join(conditions), ()
        window = self.table_slice.window
        column = next((column for column in self.table_slice.columns if column.column.name == window.column), None)
        if column is None:
            declared = self.table_slice.table.column(window.column)
            column = CanonicalColumn(column=declared, type=logical_type(declared))
        name = self._name(column)
        values: tuple[Value, ...] = (window.start, window.end)
        if column.type.kind in _NUMBERS:
            if affinity(column.column) not in NUMERIC:
                name = f"CAST({name} AS NUMERIC)"
            values = (_number_value(window.start), _number_value(window.end))
        else:
            name = self.canonical(column)
        return " AND ".join([*conditions, f"{name} >= ? AND {name} < ?"]), values

    def look_up(
        self, connection: Connection, keys: Keys, expressions: Sequence[str]
    ) -> Iterator[tuple[list[tuple[str, ...]], list[Text]]]:
        """Yield batches of the rows with these keys: their canonical keys, and their values of ``expressions``.

        Rows are looked up by every value that may be stored for a key, and then filtered by their canonical texts.
        """
        condition, values = self.condition()
        selected = [*expressions, *map(self.canonical, self.table_slice.key)]
        width = len(expressions)
        wanted = list(dict.fromkeys(keys))
        if any(column.type.kind in SECONDS for column in self.table_slice.key):
            # A time may be stored in many forms, so the index cannot be used.
            statement = f"SELECT {', '.join(selected)} FROM {self.relation} AS t{where(condition)}"
            yield from _choose(stream(connection, statement, values), set(wanted), width)
            return
        match = " AND ".join(f"{self._name(column)} = w.column{number + 1}" for number, column in enumerate(self.table_slice.key))
        marks = f"({', '.join('?' * len(self.table_slice.key))})"
        step = max(1, _LOOKUP_VALUES // (len(self.table_slice.key) * 2 ** len(self.table_slice.key)))
        for start in range(0, len(wanted), step):
            chunk = wanted[start : start + step]
            candidates = [values for key in chunk for values in product(*map(_candidates, key, self.table_slice.key))]
            statement = (
                f"SELECT {', '.join(selected)} FROM (VALUES {', '.join([marks] * len(candidates))}) AS w"
                f" CROSS JOIN {self.relation} AS t ON {match}{where(condition)}"
            )
            bound = (*(value for candidate in candidates for value in candidate), *values)
            yield from _choose(stream(connection, statement, bound), set(chunk), width)


def stream(connection: Connection, statement: str, values: tuple[Value, ...]) -> Iterator[list[Text]]:
    """Run a statement and stream batches of its texts as bytes, since they may not be UTF-8."""
    driver = driver_of(connection)
    cursor = driver.execute(statement, values)
    try:
        while rows := _fetch(driver, cursor):
            yield rows
    finally:
        cursor.close()


def _fetch(driver: Any, cursor: Any) -> list[Text]:
    # Set the factory only during the fetch, since the caller may run other statements on this connection between batches.
    factory = driver.text_factory
    driver.text_factory = bytes
    try:
        with _FETCHING:
            return cursor.fetchmany(_FETCHED_ROWS)  # type: ignore[no-any-return]  # a list of tuples
    finally:
        driver.text_factory = factory


def _choose(
    batches: Iterable[list[Text]], wanted: set[tuple[str, ...]], width: int
) -> Iterator[tuple[list[tuple[str, ...]], list[Text]]]:
    """Yield the rows whose key, in the columns from ``width`` on, is in ``wanted``; each key once."""
    for rows in batches:
        keys: list[tuple[str, ...]] = []
        chosen: list[Text] = []
        columns = ([row[place] for row in rows] for place in range(width, len(rows[0])))
        for row, key in zip(rows, read_keys(columns), strict=True):
            if key in wanted:
                wanted.remove(key)
                keys.append(key)
                chosen.append(row[:width])
        if keys:
            yield keys, chosen


def _candidates(text: str, column: CanonicalColumn) -> Sequence[Value]:
    """Return the values (at most two) that may be stored for the canonical text of a key; SQLite itself converts numbers."""
    declared = affinity(column.column)
    kind = column.type.kind
    if kind is LogicalKind.UUID:
        return (text, text.upper())
    if kind in (LogicalKind.BYTES, LogicalKind.ANY) or (kind in _NUMBERS and declared is not Affinity.TEXT):
        try:
            value = stored_value(text, column.type, Affinity.REAL if kind in _NUMBERS else declared)
        except ValueError:
            return (text,)
        return (value, value.decode(errors="replace")) if isinstance(value, bytes) else (text, value)
    return (text,) if declared in NUMERIC else (text, text.encode())


def _number_value(text: str) -> Value:
    try:
        number = int(text)
        if -(1 << 63) <= number < 1 << 63:
            return number
    except ValueError:
        pass
    try:
        # Also right for an integer beyond 64 bits: the float is beyond all values of the column, too.
        return float(text)
    except ValueError:
        raise TableError(f"A window cannot begin or end at {text[:80]!r}: its column holds numbers.").without_subject() from None


def read_keys(columns: Iterable[Iterable[bytes | None]]) -> list[tuple[str, ...]]:
    """Decode the key columns of a batch to keys.

    :raises TableError: for a key that has a NULL or is not UTF-8
    """
    try:
        return list(zip(*(map(str, column, repeat("utf-8")) for column in columns), strict=True))  # type: ignore[arg-type]  # NULL
    except TypeError as error:
        raise TableError(
            "A part of a key is NULL, which identifies no row. Choose other columns with `primary`."
        ).without_subject() from error
    except UnicodeDecodeError as error:
        raise TableError(
            "A key is not valid UTF-8, which identifies no row elsewhere. Correct it at the source."
        ).without_subject() from error


def affinity(column: Column) -> Affinity:
    """Return a column's affinity."""
    return affinity_of(column.sql_type)


def where(condition: str) -> str:
    """Return a condition as a WHERE clause; empty for an empty condition."""
    return f" WHERE {condition}" if condition else ""
