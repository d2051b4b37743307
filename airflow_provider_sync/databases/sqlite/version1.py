"""Support version 1 on SQLite: render values for the hash, and find values that JSON cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.schema import Column, Kind, Table, Value
from airflow_provider_sync.databases.sqlite.session import decode
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.protocol.v1.numbers import php_float


class SQLiteVersion1(Version1):
    """Hashes streamed rows, since SQLite has no SHA-1."""

    keeps_instants = False

    def hash_order(self, table: Table) -> Sequence[str]:
        """Return the row id, whatever the primary key; return the primary key only if the table has no row id."""
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key. Add one: version 1 cannot hash its rows without.")
        return (table.row_id,) if table.row_id else table.primary_key

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that renders a value by its own type, since a column may contain any type."""
        return _hash_text

    def hash_column(self, column: Column, row: Sequence[Column]) -> Callable[[Sequence[Value]], Iterable[bytes]]:
        """See :meth:`.Version1.hash_column`; text and integers without NULL need no call per value."""

        def render_all(values: Sequence[Any]) -> Iterable[bytes]:
            types = set(map(type, values))
            if types == {str}:
                return map(str.encode, values)
            if types == {int}:
                return map(str.encode, map(str, values))
            return [NULL if value is None else _HASH_TEXT[type(value)](value) for value in values]

        return render_all

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with a value that JSON cannot carry; search all columns, since any may contain any value.

        JSON has no blobs, so the target distinguishes text from blobs by the column's declared type. In a column without one,
        and in a JSON column, a blob would arrive as text, and the hashes would still be equal.
        """
        for rows in self.database.reader.read(connection, table, columns):
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                types = set(map(type, values))
                may_be_text = column.kind is Kind.JSON or column.sql_type.strip().upper() in ("", "ANY")
                if bytes in types and may_be_text:
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
