"""Find what breaks in an SQLite database when a table is dropped, which SQLite itself does not check."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.dependents import Dependent, Kind
from airflow_provider_sync.databases.schema import STAGING_PREFIX, Table
from airflow_provider_sync.databases.sqlite.session import driver_of


def find_dependents(connection: Connection, table: Table, quoted: str) -> tuple[Dependent, ...]:
    """Find foreign keys, views and triggers: rename the table, see whose SQL changes, and roll back.

    So SQLite's own parser decides. It renames no table in a database with a broken view, which is an error here.

    :param quoted: the quoted name of the table
    """
    connection.exec_driver_sql("PRAGMA legacy_alter_table = OFF")
    connection.exec_driver_sql("SAVEPOINT sync_dependents")
    try:
        before = _objects(connection, table)
        connection.exec_driver_sql(f'ALTER TABLE {quoted} RENAME TO "{STAGING_PREFIX}dropped"')
        after = _objects(connection, table)
    finally:
        if driver_of(connection).in_transaction:
            connection.exec_driver_sql("ROLLBACK TO sync_dependents")
            connection.exec_driver_sql("RELEASE sync_dependents")
    changed = [key for key, (sql, owner) in before.items() if owner != table.name and after.get(key, ("", ""))[0] != sql]
    schema = table.schema or "main"
    # Indexes belong to their tables, and no index of another table changes.
    return tuple(sorted(Dependent.of(table, kind, schema, name, own_schema=schema) for kind, name in changed))


def _objects(connection: Connection, table: Table) -> dict[tuple[Kind, str], tuple[str, str]]:
    """Return the SQL and the table of every object in the table's database, by kind and name."""
    schema = (table.schema or "main").replace('"', '""')
    rows = connection.exec_driver_sql(
        f"SELECT type, name, sql, tbl_name FROM \"{schema}\".sqlite_schema WHERE sql IS NOT NULL AND type <> 'index'"
    )
    return {(kind, name): (sql, owner) for kind, name, sql, owner in rows}
