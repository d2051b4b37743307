"""Read rows from SQLite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.read import BATCH_ROWS, Reader
from airflow_provider_sync.databases.schema import Column, Row, Table
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.databases.sqlite.slice_sql import SliceSQL, Text, stream, where
from airflow_provider_sync.databases.sqlite.text import stored_expression
from airflow_provider_sync.databases.table_slice import Keys, TableSlice
from airflow_provider_sync.protocol.v2.tsv import encode_rows

_BLOCK_BYTES = 256 * 1024
"""Approximate bytes of one block of :meth:`SQLiteReader.read_text`."""


class SQLiteReader(Reader):
    """Streams rows as they are stored, since SQLite has no types beyond those of version 1."""

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """See :meth:`.Reader.read`; values are returned as stored.

        Text that is not UTF-8 is returned as ``bytes``.
        """
        order = f" ORDER BY {self.columns(order_by)}" if order_by else ""
        cursor = driver_of(connection).execute(
            f"SELECT {self.columns(column.name for column in columns)} FROM {self.database.current_rows(table)}{order}"
        )
        try:
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield rows
        finally:
            cursor.close()

    def blocks_writers(self, connection: Connection) -> bool:
        """Whether the database is not in WAL mode, the only one in which readers and a writer do not wait for each other."""
        return connection.exec_driver_sql("PRAGMA journal_mode").scalar() != "wal"

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        return cast("int", connection.exec_driver_sql(f"SELECT COUNT(*) FROM {self.database.current_rows(table)}").scalar_one())

    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows; see :meth:`.Reader.read_text`. Dates and times outside of the key keep their stored form."""
        sql = SliceSQL(table_slice, self.database)
        key = table_slice.key_names
        expressions = [
            sql.canonical(column) if column.column.name in key else sql.canonical(column, stored_expression)
            for column in table_slice.columns
        ]
        if keys is not None:
            for _, rows in sql.look_up(connection, keys, expressions):
                yield from _blocks(rows)
            return
        condition, values = sql.condition()
        statement = f"SELECT {', '.join(expressions)} FROM {self.relation(table_slice.table)} AS t{where(condition)}"
        for rows in stream(connection, statement, values):
            yield from _blocks(rows)


def _blocks(rows: Sequence[Text]) -> Iterator[tuple[int, bytes]]:
    """Write rows as TSV, in blocks of about :data:`_BLOCK_BYTES`, estimated from the first rows."""
    step = max(1, min(len(rows), _BLOCK_BYTES * 20 // (1 + len(encode_rows(rows[:20])))))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        yield len(chunk), encode_rows(chunk)
