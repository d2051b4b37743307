"""Read the indexes, foreign keys, defaults and comments of a table of DuckDB by catalog functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.duckdb.indexes import indexed_columns
from airflow_provider_sync.databases.found_details import FoundDetails, FoundForeignKey, read_defaults
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import IndexDescription

_OF_TABLE = "WHERE database_name = current_database() AND schema_name = ? AND table_name = ?"
_COLUMNS = (
    f"SELECT column_name, column_default, comment FROM duckdb_columns() {_OF_TABLE} AND NOT is_generated ORDER BY column_index"
)
_COMMENT = f"SELECT comment FROM duckdb_tables() {_OF_TABLE}"
_INDEXES = f"SELECT index_name, is_unique, sql FROM duckdb_indexes() {_OF_TABLE} AND NOT is_primary ORDER BY index_name"
_CONSTRAINTS = f"""
SELECT constraint_type, constraint_name, constraint_column_names, referenced_table, referenced_column_names
FROM duckdb_constraints() {_OF_TABLE} AND constraint_type IN ('UNIQUE', 'FOREIGN KEY') ORDER BY constraint_index
"""


def table_details(connection: Connection, table: Table, schema: str) -> FoundDetails:
    """Return the details of a table besides columns and key; the catalog does not have the sort order of an index.

    :param schema: schema of the table
    """

    def rows(statement: str) -> Sequence[Any]:
        return connection.exec_driver_sql(statement, (schema, table.name)).all()

    columns = rows(_COLUMNS)
    defaults, untold = read_defaults((name, default) for name, default, _ in columns)
    indexes, foreign_keys = [], []
    for kind, name, names, parent, parent_columns in rows(_CONSTRAINTS):
        if kind == "UNIQUE":
            indexes.append(IndexDescription(name=name, columns=tuple(names), unique=True))
        else:
            # DuckDB's foreign keys have no actions, and cannot cross schemas.
            key = FoundForeignKey(
                name=name, columns=tuple(names), parent_schema=None, parent=parent, parent_columns=tuple(parent_columns)
            )
            foreign_keys.append(key)
    for name, unique, sql in rows(_INDEXES):
        if indexed := indexed_columns(sql, table.columns):
            indexes.append(IndexDescription(name=name, columns=indexed, unique=unique))
        else:
            untold.append((None, f"index {name!r}, which has an expression"))
    return FoundDetails(
        indexes=tuple(indexes),
        foreign_keys=tuple(foreign_keys),
        defaults=defaults,
        comments={name: comment for name, _, comment in columns if comment},
        comment=rows(_COMMENT)[0][0],
        untold=tuple(untold),
    )
