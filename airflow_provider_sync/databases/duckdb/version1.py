"""Support version 1 on DuckDB: write values as MySQL would for the hash, and find values that JSON cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.schema import Column, Kind, Table, Value
from airflow_provider_sync.protocol.v1.numbers import mysql_double, mysql_float


class DuckDBVersion1(Version1):
    """Hashes streamed rows."""

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that writes a value as MySQL would; text is always UTF-8, also beside binary columns."""
        match column.kind:
            case Kind.DOUBLE:
                return lambda value: mysql_double(float(value or 0)).encode()
            case Kind.FLOAT:
                return lambda value: mysql_float(float(value or 0)).encode()
        return lambda value: value if isinstance(value, bytes) else str(value).encode()

    def has_unsendable(self, connection: Connection, table: Table, column: Column) -> bool:
        """See :meth:`.Version1.has_unsendable`; binary columns are read, since SQL cannot check them."""
        if column.kind is Kind.BINARY:
            return self._has_other_than_utf8(connection, table, column)
        return super().has_unsendable(connection, table, column)

    def unsendable(self, column: Column, name: str) -> str | None:
        """Return the condition for infinity, NaN, and dates that no other engine has."""
        match column.kind:
            case Kind.FLOAT | Kind.DOUBLE:
                return f"NOT isfinite({name})"
            case Kind.DATE | Kind.DATETIME | Kind.TIMESTAMP:
                return f"NOT isfinite({name}) OR year({name}) < 1"
        return None

    def _has_other_than_utf8(self, connection: Connection, table: Table, column: Column) -> bool:
        for rows in self.database.reader.read(connection, table, [column]):
            try:
                b"\0".join([value for (value,) in rows if isinstance(value, bytes)]).decode()
            except UnicodeDecodeError:
                return True
        return False
