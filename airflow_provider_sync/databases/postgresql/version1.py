"""Support version 1 on PostgreSQL: write values as MySQL would for the hash, and find values that JSON cannot carry."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.postgresql.read import fetch
from airflow_provider_sync.databases.postgresql.session import driver_of, undoubled
from airflow_provider_sync.databases.schema import Column, Kind, Table, Value
from airflow_provider_sync.protocol.v1.numbers import mysql_double, mysql_float


def _number(value: Value) -> int | float:
    if not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is not a number.")
    return value


def _raw(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value).__name__} is not bytes.")
    return value


def _text(value: Value) -> bytes:
    return str(value).encode()


def _has_other_than_utf8(connection: Connection, name: str, table: str) -> bool:
    # No function of all supported versions tests for UTF-8 without raising an error. SQL filters out plain ASCII: the escape
    # format has a backslash only for other bytes and for the backslash itself.
    suspects = f"SELECT {name} FROM {table} AS t WHERE position(chr(92) IN encode({name}, 'escape')) > 0"
    with closing(fetch(driver_of(connection), undoubled(suspects))) as batches:
        return any(not _is_utf8(value) for rows in batches for (value,) in rows)


def _is_utf8(value: Any) -> bool:
    try:
        bytes(value).decode()
    except UnicodeDecodeError:
        return False
    return True


class PostgreSQLVersion1(Version1):
    """Hashes streamed rows: a recursive query or a custom aggregate could do it in the database, but both take longer."""

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return the default time zone of server, database or role, whatever this session has set; ``None`` for ``localtime``.

        That is the zone of the server's machine, which here would be read as the zone of this machine.
        """
        setting = "SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'"
        name = str(connection.exec_driver_sql(setting).scalar_one())
        return None if name.casefold().endswith("localtime") else name

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that writes a value as MySQL would; text is always UTF-8, also beside binary columns."""
        match column.kind:
            case Kind.DOUBLE:
                return lambda value: mysql_double(_number(value)).encode()
            case Kind.FLOAT:
                return lambda value: mysql_float(_number(value)).encode()
            case Kind.BIT:
                size = ((column.length or 1) + 7) // 8
                return lambda value: int(_number(value)).to_bytes(size, "big")
            case Kind.BINARY:
                return _raw
        return _text

    def has_unsendable(self, connection: Connection, table: Table, column: Column) -> bool:
        """Whether a column has a value that JSON cannot carry; for binary columns, check bytes that may not be UTF-8."""
        if column.kind is Kind.BINARY:
            return _has_other_than_utf8(connection, self.quote(column.name), self.relation(table))
        return super().has_unsendable(connection, table, column)

    def unsendable(self, column: Column, name: str) -> str | None:
        """Return the condition for infinity, NaN, and dates that no other engine has."""
        match column.kind:
            case Kind.FLOAT | Kind.DOUBLE:
                return f"{name} IN ('NaN', 'Infinity', '-Infinity')"
            case Kind.DATE | Kind.DATETIME | Kind.TIMESTAMP:
                return f"NOT isfinite({name}) OR {name} < '0001-01-01'"
        return None
