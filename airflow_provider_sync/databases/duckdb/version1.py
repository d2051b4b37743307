"""Version 1 on DuckDB: values as MySQL would write them for the hash, and a check for values that JSON cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.schema import Column, Kind, Table, Value
from airflow_provider_sync.protocol.v1.numbers import mysql_double, mysql_float


class DuckDBVersion1(Version1):
    """Hashes streamed rows."""

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that writes a value as MySQL would; text is UTF-8 whatever other columns there are."""
        match column.kind:
            case Kind.DOUBLE:
                return lambda value: mysql_double(float(value or 0)).encode()
            case Kind.FLOAT:
                return lambda value: mysql_float(float(value or 0)).encode()
        return lambda value: value if isinstance(value, bytes) else str(value).encode()

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with bytes that are not UTF-8, infinity, NaN, or a date that no other engine has."""
        return next((column for column in columns if self._has_unsendable(connection, table, column)), None)

    def _has_unsendable(self, connection: Connection, table: Table, column: Column) -> bool:
        name = self.quote(column.name)
        match column.kind:
            case Kind.FLOAT | Kind.DOUBLE:
                condition = f"NOT isfinite({name})"
            case Kind.DATE | Kind.DATETIME | Kind.TIMESTAMP:
                condition = f"NOT isfinite({name}) OR year({name}) < 1"
            case Kind.BINARY:
                return self._has_other_than_utf8(connection, table, column)
            case _:
                return False
        statement = f"SELECT EXISTS (SELECT 1 FROM {self.relation(table)} AS t WHERE {condition})"
        return bool(connection.exec_driver_sql(statement).scalar_one())

    def _has_other_than_utf8(self, connection: Connection, table: Table, column: Column) -> bool:
        for rows in self.database.reader.read(connection, table, [column]):
            try:
                b"\0".join([value for (value,) in rows if isinstance(value, bytes)]).decode()
            except UnicodeDecodeError:
                return True
        return False
