"""Read rows from DuckDB: values for version 1, lines of canonical texts for version 2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.read import Reader
from airflow_provider_sync.databases.duckdb.errors import translated
from airflow_provider_sync.databases.duckdb.session import stream
from airflow_provider_sync.databases.duckdb.slice_sql import SliceSQL
from airflow_provider_sync.databases.duckdb.text import canonical_text, logical_type
from airflow_provider_sync.databases.schema import Column, Kind, Row, Table, Value
from airflow_provider_sync.databases.table_slice import Keys, TableSlice

_PLAIN = frozenset({Kind.INTEGER, Kind.FLOAT, Kind.DOUBLE, Kind.BINARY})
"""Kinds whose values the driver returns as version 1 sends them; others are selected as canonical texts."""


class DuckDBReader(Reader):
    """Streams rows; the next statement on the same connection ends the stream."""

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows."""
        order = f" ORDER BY {self.columns(order_by)}" if order_by else ""
        selected = ", ".join(self._selected(column) for column in columns)
        floats = [place for place, column in enumerate(columns) if column.kind is Kind.FLOAT]
        with translated():
            for rows in stream(connection, f"SELECT {selected} FROM {self.database.current_rows(table)}{order}"):
                yield [_six_digits(row, floats) for row in rows] if floats else rows

    def _selected(self, column: Column) -> str:
        name = self.quote(column.name)
        if column.kind in _PLAIN:
            return name
        if column.kind is Kind.BOOLEAN:
            return f"CAST({name} AS INTEGER)"
        return canonical_text(column, logical_type(column), name)

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        return cast("int", connection.exec_driver_sql(f"SELECT count(*) FROM {self.database.current_rows(table)}").scalar_one())

    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows; DuckDB itself builds the lines."""
        sql = SliceSQL(self.database, table_slice)
        statement = sql.lines(by_key=keys is not None)
        with translated():
            for rows in stream(connection, statement, () if keys is None else sql.bound_keys(keys)):
                yield len(rows), "".join([line for (line,) in rows]).encode()


def _six_digits(row: tuple[Any, ...], places: Sequence[int]) -> tuple[Value, ...]:
    """Round floats to the six digits that version 1 sends."""
    values = list(row)
    for place in places:
        if values[place] is not None:
            values[place] = float(f"{values[place]:.6g}")
    return tuple(values)
