"""Find the target rows that a version 1 response lacks, and list their keys."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.merge.staging import Staging
from airflow_provider_sync.sync.tables.target import Target


def lacks_rows(database: Database, connection: Connection, target: Target, staged: Table) -> bool:
    """Tell whether the target has a row whose key is not staged, so that a merge would delete it."""
    return connection.exec_driver_sql(f"SELECT 1 {_missing(database, target, target.table, staged)} LIMIT 1").first() is not None


def list_missing(
    database: Database, connection: Connection, target: Target, staged: Table, listed: Staging, *, among: Table | None = None
) -> Table:
    """List the keys that the target has and the staging table lacks.

    :param listed: the table for the keys, which is dropped and created
    :param among: keys missing from an earlier response; only those missing again are listed
    """
    listed.drop(connection)
    listed.create(connection, target.key_layout)
    names = database.columns(target.key)
    connection.exec_driver_sql(
        f"INSERT INTO {database.qualified(listed.table)} ({names})"
        f" SELECT {database.columns(target.key, 't')} {_missing(database, target, among or target.table, staged)}"
    )
    return listed.table


def _missing(database: Database, target: Target, table: Table, staged: Table) -> str:
    key, statements = target.key_columns, database.statements
    where = " AND ".join(filter(None, [statements.absent(key, "s"), database.current(table, "t")]))
    return (
        f"FROM {database.qualified(table)} t LEFT JOIN {database.qualified(staged)} s ON {statements.match(key, 't', 's')}"
        f" WHERE {where}"
    )
