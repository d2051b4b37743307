"""Streaming the rows of a table from MySQL or MariaDB, as the values that every engine gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import import_module
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.tables.engines.base import BATCH_ROWS
from airflow_provider_sync.tables.engines.mysql_errors import DATABASE_ERRORS, DRIVER_ERRORS, error_number
from airflow_provider_sync.tables.schema import Column, Kind, Row, Table

_AS_TEXT = frozenset({Kind.DECIMAL, Kind.DATE, Kind.TIME, Kind.DATETIME, Kind.TIMESTAMP, Kind.YEAR, Kind.UUID, Kind.OTHER})
"""Drivers turn these into Python objects that cost more than the network and cannot hold a zero date; text is quick and exact."""

_KILLED = frozenset({1317, 1927})
"""What the rest of a killed query reads as."""


def selected(column: Column, name: str) -> str:
    """Return the expression that gives a column's value as :meth:`~.base.Database.read` promises it.

    :param name: the column, quoted
    """
    if column.kind in _AS_TEXT or (column.kind is Kind.INTEGER and column.zerofill):
        return f"CAST({name} AS CHAR)"
    if column.kind is Kind.BIT:
        return f"{name} + 0"
    if column.kind is Kind.GEOMETRY:
        return f"CAST({name} AS BINARY)"
    return name


def stream(connection: Connection, table: Table, columns: Sequence[Column], statement: str) -> Iterator[list[Row]]:
    """Run a query without buffering its result, and yield its rows in batches.

    Stopping early is cheap: the query is killed, where closing its cursor alone would read all the remaining rows.

    :param columns: what is selected, for messages
    :raises TableError: for text whose bytes are not UTF-8, which MariaDB can hold
    """
    # Both drivers keep their unbuffered cursor there; a connection that Airflow opened may have any other as its default.
    cursors = import_module(f"{connection.dialect.loaded_dbapi.__name__}.cursors")
    cursor = cursors.SSCursor(connection.connection.driver_connection)
    finished = False
    try:
        # The empty tuple undoes the doubling of percent signs in `Database.quote`.
        cursor.execute(statement, ())
        while batch := cursor.fetchmany(BATCH_ROWS):
            yield list(batch)
        finished = True
    except UnicodeDecodeError as error:
        names = ", ".join(repr(column.name) for column in columns if column.charset)
        raise TableError(
            f"Table {str(table)!r} has text with the bytes {error.object[error.start : error.end].hex()}, which are not UTF-8."
            f" Correct the row: the value is in one of the columns {names}."
        ) from error
    except DRIVER_ERRORS:
        finished = True
        raise
    finally:
        _close(connection, cursor, finished=finished)


def _close(connection: Connection, cursor: Any, *, finished: bool) -> None:
    try:
        if not finished:
            thread = int(cursor.connection.thread_id())
            with connection.engine.connect() as other:
                other.exec_driver_sql(f"KILL QUERY {thread}")
        cursor.close()
    except DATABASE_ERRORS as error:
        if error_number(error) not in _KILLED:
            # What is left of the result can no longer be told from the answer to the next statement.
            connection.invalidate()
