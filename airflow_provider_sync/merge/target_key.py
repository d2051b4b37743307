"""Whether a key tells all rows of a target apart."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.exceptions import TableError


def key_is_unique(target: Table, key: Sequence[str]) -> bool:
    """Whether an index of the target guarantees that no two rows have the same key."""
    unique = [target.primary_key, *(unique.columns for unique in target.unique_keys if unique.nulls_distinct)]
    return any(columns and set(columns) <= set(key) for columns in unique)


def check_key(database: Database, connection: Connection, target: Table, key: Sequence[Column]) -> None:
    """Check that a key identifies every row of the target.

    :raises TableError: if it is NULL in a row, or the same in several
    """
    rows = f"{database.qualified(target)} t"
    for column in key:
        missing = f"SELECT COUNT(*) FROM {rows} WHERE {database.is_null(f't.{database.quote(column.name)}')}"
        if column.nullable and connection.exec_driver_sql(missing).scalar_one():
            raise TableError(f"the target has rows without a value in the key column {column.name!r}. Fill or delete them.")
    names = [column.name for column in key]
    if key_is_unique(target, names):
        return
    by_bytes = ", ".join(database.statements.comparable(column, "t") for column in key)
    doubles = f"SELECT 1 FROM {rows} GROUP BY {by_bytes} HAVING COUNT(*) > 1 LIMIT 1"
    if connection.exec_driver_sql(doubles).first():
        raise TableError(f"several rows of the target have one key ({', '.join(names)}). Name a key with 'primary'.")
