"""Load rows by COPY FROM STDIN, through psycopg 3 or psycopg2: all of them or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.load import Loader
from airflow_provider_sync.databases.null_refusals import DROP_NOT_NULL, null_refusal
from airflow_provider_sync.databases.postgresql.errors import (
    ADVICE,
    DRIVER_ERRORS,
    NOT_NULL_VIOLATION,
    copied_column,
    driver_error,
    error_message,
    sqlstate,
    translated,
)
from airflow_provider_sync.databases.postgresql.read import IDLE
from airflow_provider_sync.databases.postgresql.session import driver_of, run, undoubled
from airflow_provider_sync.databases.postgresql.text_load import copy_blocks
from airflow_provider_sync.databases.postgresql.value_load import CopyText
from airflow_provider_sync.databases.schema import Row, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError

_DATA_ERRORS = ("22", "23", "54")
"""Classes of SQLSTATE for bad values: invalid, violating a constraint, too large."""


_ANALYZE_ROWS = 1_000

# Read locks rather than counters: they also show a TRUNCATE, and need no `track_counts`.
_WRITTEN = """
SELECT min(c.oid::regclass::text) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p')
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode IN ('RowExclusiveLock', 'AccessExclusiveLock')
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND c.oid <> %s::regclass
"""
"""Selects the name of another table that the open transaction has written to."""


def load_blocks(driver: Any, table: Table, statement: str, counted: Iterable[tuple[int, bytes]]) -> int:
    """Send blocks of COPY text through ``statement``; load all rows or none.

    :param driver: a connection of psycopg or psycopg2
    :param counted: each block with its number of rows
    :return: rows loaded
    :raises TableError: for a value that does not fit, naming table and column
    """
    blocks = _Blocks(counted)
    try:
        with driver.cursor() as cursor:
            if hasattr(cursor, "copy_expert"):
                cursor.copy_expert(statement, blocks, 128 * 1024)
            else:
                with cursor.copy(statement) as copy:
                    for block in blocks:
                        copy.write(block)
            loaded = cursor.rowcount
    except DRIVER_ERRORS as error:
        if blocks.failure is not None:
            # psycopg2's error only says that reading failed.
            raise blocks.failure from None
        raise _explained(error, table) from error
    if loaded != blocks.rows:
        raise TableError(
            f"Table {table.label!r} took {loaded} of {blocks.rows} rows. Look for a trigger on it that drops rows, and remove it."
        )
    return blocks.rows


class _Blocks:
    """Blocks of COPY text: an iterator for psycopg, a file to read from for psycopg2.

    :ivar rows: number of rows sent so far
    :ivar failure: the error that stopped the blocks, if any
    """

    def __init__(self, counted: Iterable[tuple[int, bytes]]) -> None:
        self._counted = iter(counted)
        self._block = b""
        self._place = 0
        self.rows = 0
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        for rows, block in self._counted:
            self.rows += rows
            yield block

    def read(self, size: int) -> bytes:
        """Return at most ``size`` further bytes; ``b""`` at the end."""
        try:
            while self._place >= len(self._block):
                self._block, self._place = next(iter(self)), 0
        except StopIteration:
            return b""
        except BaseException as error:
            self.failure = error
            raise
        piece = self._block[self._place : self._place + size]
        self._place += len(piece)
        return piece


def _explained(error: Exception, table: Table) -> Exception:
    """Return, for a bad value, an error that names table and column; for any other error, the error itself."""
    if (sqlstate(error) or "")[:2] not in _DATA_ERRORS:
        return error
    # Of a value that is cast to a domain, the server names no column.
    refused = getattr(getattr(driver_error(error), "diag", None), "column_name", None)
    if sqlstate(error) == NOT_NULL_VIOLATION and refused:
        return null_refusal(table, refused, f"{DROP_NOT_NULL}, or ALTER DOMAIN … DROP NOT NULL")
    column = copied_column(error, [column.name for column in table.columns])
    place = f", column {column!r} ({table.column(column).sql_type})" if column else ""
    advice = f" {ADVICE[state]}" if (state := sqlstate(error)) in ADVICE else ""
    return TableError(f"Table {table.label!r}{place}: {error_message(error)}. Nothing was loaded.{advice}")


class PostgreSQLLoader(Loader):
    """Loads by one COPY, which stores all rows or none."""

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load by one COPY, which stores all rows or none, and then update the planner's statistics."""
        statement = undoubled(_copy_statement(self.database, staging))
        text = CopyText(staging, staging.columns)
        counted = ((len(batch), text.encode(batch)) for batch in batches)
        with translated():
            with self._writing_only(connection, staging):
                rows = load_blocks(driver_of(connection), staging, statement, counted)
            if rows >= _ANALYZE_ROWS:
                connection.exec_driver_sql(f"ANALYZE {self.qualified(staging)}")
        return rows

    def load_text(
        self,
        connection: Connection,
        staging: Table,
        columns: Sequence[CanonicalColumn],
        blocks: Iterable[bytes],
        *,
        is_digested: bool = False,
    ) -> int:
        """Load by one COPY, which stores all rows or none, and then update the planner's statistics.

        Inside a transaction the statistics are not updated: there the table is the target itself, and only one scan follows.
        """
        names = ", ".join(undoubled(self.quote(column.column.name)) for column in columns)
        statement = f"COPY {undoubled(self.qualified(staging))} ({names}) FROM STDIN"
        with translated():
            with self._writing_only(connection, staging):
                rows = load_blocks(
                    driver_of(connection), staging, statement, copy_blocks(staging, columns, blocks, is_digested=is_digested)
                )
            if rows >= _ANALYZE_ROWS and driver_of(connection).info.transaction_status == IDLE:
                run(connection, f"ANALYZE {undoubled(self.qualified(staging))}")
        return rows

    @contextmanager
    def _writing_only(self, connection: Connection, staging: Table) -> Iterator[None]:
        """Load in a separate transaction if column types call functions, which may write to other tables.

        :raises TableError: if a function has written to another table; the transaction is rolled back
        """
        if not staging.functions or driver_of(connection).info.transaction_status != IDLE:
            yield
            return
        with self.database.transaction(connection):
            yield
            written = connection.exec_driver_sql(_WRITTEN, (undoubled(self.qualified(staging)),)).scalar()
            if written is not None:
                raise TableError(
                    f"Table {staging.label!r}: a function ({', '.join(staging.functions)}) that the type of a column calls for"
                    f" each value writes to {written}.",
                    NOTHING_CHANGED,
                    "Let it write nothing, or give the column another type at the target.",
                )


def _copy_statement(database: Database, table: Table) -> str:
    return f"COPY {database.qualified(table)} ({database.columns(column.name for column in table.columns)}) FROM STDIN"
