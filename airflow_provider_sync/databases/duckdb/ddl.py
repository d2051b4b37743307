"""Create staging, work and target tables on DuckDB, and change columns."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.ddl import Ddl, StagingLayout, WidenedColumn
from airflow_provider_sync.databases.duckdb import type_names
from airflow_provider_sync.databases.duckdb.catalog import place_of
from airflow_provider_sync.databases.schema import OP, Column, Kind, Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalType

_INDEXES = """
SELECT index_name FROM duckdb_indexes()
WHERE database_name = current_database() AND schema_name = ? AND table_name = ? AND NOT is_primary ORDER BY index_name
"""

_TEMPORARY = "temp"
"""The schema of the connection's temporary tables."""


class DuckDBDdl(Ddl):
    """Creates staging tables in the target's schema, and work tables that only the connection sees."""

    def sql_type(self, logical: LogicalType, *, key: bool) -> str:
        """See :func:`.type_names.sql_type`."""
        return type_names.sql_type(logical)

    def wider_type(self, column: Column, logical: LogicalType, *, key: bool) -> str | None:
        """See :meth:`.Ddl.wider_type`; DuckDB cannot change the type of a key column, and its text has no length."""
        wider = type_names.sql_type(logical)
        return None if key or wider == "VARCHAR" or wider.replace(" ", "") == column.sql_type.replace(" ", "") else wider

    def change_columns(
        self, connection: Connection, table: Table, added: Sequence[ColumnDescription], widened: Sequence[WidenedColumn]
    ) -> None:
        """Add columns and widen others; DuckDB cannot alter a table with an index, even if the transaction has dropped that."""
        schema = table.schema or place_of(connection, table.name)[0]
        indexes = connection.exec_driver_sql(_INDEXES, (schema, table.name)).scalars().all() if widened else ()
        if indexes:
            names = ", ".join(repr(entry.column.name) for entry in widened)
            raise TableError(
                f"DuckDB widens no column of a table with indexes ({', '.join(indexes)}), and {names} of {str(table)!r} are too"
                " narrow.",
                NOTHING_CHANGED,
                "Drop the indexes, sync, and create them again.",
            )
        super().change_columns(connection, table, added, widened)

    def create_staging(self, connection: Connection, layout: StagingLayout, *, name: str, temporary: bool = False) -> Table:
        """Create the table in the target's schema."""
        schema = _TEMPORARY if temporary else layout.target.schema
        staging = Table(name=name, schema=schema, columns=layout.columns, primary_key=layout.primary_key)
        definitions = [self._definition(column, key=column.name in layout.primary_key) for column in layout.columns]
        definitions.append(f"PRIMARY KEY ({self.columns(layout.primary_key)})")
        connection.exec_driver_sql(
            f"CREATE {'TEMP ' if temporary else ''}TABLE {self.qualified(staging)} ({', '.join(definitions)})"
        )
        for number, column_name in enumerate(layout.indexes):
            connection.exec_driver_sql(
                f"CREATE INDEX {self.quote(f'{name}_{number}')} ON {self.qualified(staging)} ({self.quote(column_name)})"
            )
        return staging

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the work table, without an index, since DuckDB uses hash joins."""
        columns = (
            Column(name=OP, kind=Kind.TEXT, sql_type="VARCHAR", nullable=False),
            *(target.column(column) for column in key),
        )
        work = Table(name=name, schema=_TEMPORARY, columns=columns, primary_key=tuple(column.name for column in columns))
        definitions = ", ".join(self._definition(column, key=True) for column in columns)
        connection.exec_driver_sql(f"CREATE TEMP TABLE {self.qualified(work)} ({definitions})")
        return work

    def _definition(self, column: Column, *, key: bool) -> str:
        return f"{self.quote(column.name)} {column.sql_type}{' NOT NULL' if key or not column.nullable else ''}"
