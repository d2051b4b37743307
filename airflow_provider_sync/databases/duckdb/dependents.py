"""Find what depends on a table of DuckDB, which refuses to drop a foreign key's parent table, but ignores views."""

from __future__ import annotations

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.duckdb.session import driver_of
from airflow_provider_sync.databases.schema import Table

_CHILDREN = """
SELECT DISTINCT schema_name, table_name FROM duckdb_constraints()
WHERE database_name = current_database() AND constraint_type = 'FOREIGN KEY' AND schema_name = ?
AND lower(referenced_table) = lower(?) AND lower(table_name) <> lower(referenced_table)
"""
_VIEWS = "SELECT schema_name, view_name, sql FROM duckdb_views() WHERE database_name = current_database() AND NOT internal"


def find_dependents(connection: Connection, table: Table, schema: str) -> tuple[Dependent, ...]:
    """Find foreign keys, and views that read the table, directly or through other views.

    :param schema: schema of the table; DuckDB's foreign keys cannot cross schemas
    """
    children = connection.exec_driver_sql(_CHILDREN, (schema, table.name)).all()
    found = [Dependent.of(table, "table", place, name, own_schema=schema) for place, name in children]
    for place, name, sql in connection.exec_driver_sql(_VIEWS).all():
        if _reads(connection, sql, schema, table.name):
            found.append(Dependent.of(table, "view", place, name, own_schema=schema))
    return tuple(sorted(found))


def _reads(connection: Connection, sql: str, schema: str, name: str) -> bool:
    """Whether the SELECT of a view reads a table; true if the SELECT cannot be parsed."""
    query = sql.partition(" AS ")[2]
    try:
        tables = driver_of(connection).get_table_names(query, qualified=True)
    except duckdb.Error:
        return True
    # A name without a schema may refer to any schema in the search path.
    forms = {_plain(name), _plain(f"{schema}.{name}")}
    return any(_plain(found) in forms for found in tables)


def _plain(name: str) -> str:
    return name.replace('"', "").lower()
