"""Values of PostgreSQL that version 1 of the protocol cannot carry, found before a body begins."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.postgresql.read import fetch
from airflow_provider_sync.databases.schema import Column, Kind


def has_unsendable(connection: Connection, column: Column, *, name: str, table: str) -> bool:
    """Look for bytes that are not UTF-8, NaN and infinity, infinite dates, and dates before the common era.

    :param name: the quoted name of the column
    :param table: the quoted name of its table
    """
    match column.kind:
        case Kind.FLOAT | Kind.DOUBLE:
            condition = f"{name} IN ('NaN', 'Infinity', '-Infinity')"
        case Kind.DATE | Kind.DATETIME | Kind.TIMESTAMP:
            # No other engine has these.
            condition = f"NOT isfinite({name}) OR {name} < '0001-01-01'"
        case Kind.BINARY:
            return _has_other_than_utf8(connection, name, table)
        case _:
            return False
    return bool(connection.exec_driver_sql(f"SELECT EXISTS (SELECT FROM {table} WHERE {condition})").scalar_one())


def _has_other_than_utf8(connection: Connection, name: str, table: str) -> bool:
    # No function of every supported version tests for UTF-8 without raising an error. Plain ASCII is told by SQL: in the
    # escape format only other bytes, and the backslash itself, have a backslash.
    suspects = f"SELECT {name} FROM {table} WHERE position(chr(92) IN encode({name}, 'escape')) > 0"
    with closing(fetch(connection.connection.driver_connection, suspects.replace("%%", "%"))) as batches:
        return any(not _is_utf8(value) for rows in batches for (value,) in rows)


def _is_utf8(value: Any) -> bool:
    try:
        bytes(value).decode()
    except UnicodeDecodeError:
        return False
    return True
