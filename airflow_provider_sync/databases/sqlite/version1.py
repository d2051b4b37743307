"""What version 1 needs of SQLite: values as they are hashed, and values that JSON cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.schema import Column, Table, Value
from airflow_provider_sync.databases.sqlite.session import decode
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.protocol.v1.numbers import php_float
from airflow_provider_sync.time_zones import UTC, TimeZone


class SQLiteVersion1(Version1):
    """Hashes streamed rows, since SQLite has no SHA-1."""

    keeps_instants = False

    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """SQLite has no SHA-1."""
        return None

    def hash_order(self, table: Table) -> Sequence[str]:
        """Take the row id, whatever the primary key; the primary key where the table has no row id."""
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key. Add one: version 1 cannot hash its rows without.")
        return (table.row_id,) if table.row_id else table.primary_key

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Render by the type of each value, since a column may hold any."""
        return _hash_text

    def hash_column(self, column: Column, row: Sequence[Column]) -> Callable[[Sequence[Value]], Iterable[bytes]]:
        """Render columns that hold values of one type, nearly all, without a call per value."""

        def render_all(values: Sequence[Any]) -> Iterable[bytes]:
            types = set(map(type, values))
            if types == {str}:
                return map(str.encode, values)
            if types == {int}:
                return map(str.encode, map(str, values))
            return [NULL if value is None else _HASH_TEXT[type(value)](value) for value in values]

        return render_all

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Look at every column, since any may hold any value.

        JSON has no blobs. A column's declared type says what a string is, but for columns without one, which keep the type of
        each value: a blob there would arrive as text, with an equal hash.
        """
        for rows in self.database.reader.read(connection, table, columns):
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                types = set(map(type, values))
                if bytes in types and column.sql_type.strip().upper() in ("", "ANY"):
                    return column
                if (bytes in types or float in types) and not all(map(_sendable, values)):
                    return column
        return None


_HASH_TEXT: dict[type, Callable[[Any], bytes]] = {
    str: str.encode,
    int: lambda value: b"%d" % value,
    float: lambda value: php_float(value).encode(),
    bytes: bytes,
}


def _hash_text(value: Value) -> bytes:
    return _HASH_TEXT[type(value)](value)


def _sendable(value: Value) -> bool:
    if isinstance(value, bytes):
        return isinstance(decode(value), str)
    return not isinstance(value, float) or abs(value) != float("inf")
