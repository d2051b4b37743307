"""Check that a key identifies the rows of a target."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.exceptions import TableError


def refuse_null_keys(database: Database, connection: Connection, target: Table, key: Sequence[Column]) -> None:
    """Refuse a target with a row whose key is NULL, even if a unique index allows only one such row.

    :raises TableError: naming the column; the caller adds the table's name
    """
    column = database.reader.find_null(connection, target, key)
    if column is not None:
        message = f"the target has rows without a value in the key column {column.name!r}. Fill or delete them."
        raise TableError(message).without_subject()


def check_key(database: Database, connection: Connection, target: Table, key: Sequence[Column]) -> None:
    """Check that a key identifies every row of the target, ended rows included, since the source may have such a row again.

    :raises TableError: if the key is NULL in a row, or the same in several rows
    """
    refuse_null_keys(database, connection, target, key)
    names = [column.name for column in key]
    every_row = msgspec.structs.replace(target, ended_at=None)
    if not target.has_unique(names) and database.reader.has_duplicates(connection, every_row, key):
        raise TableError(f"several rows of the target have one key ({', '.join(names)}). Name a key with 'primary'.")
