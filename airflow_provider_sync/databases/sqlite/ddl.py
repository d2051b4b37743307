"""Create staging, work and target tables on SQLite."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.ddl import Ddl, StagingLayout
from airflow_provider_sync.databases.schema import OP, Column, Table
from airflow_provider_sync.databases.sqlite import type_names
from airflow_provider_sync.databases.sqlite.catalog import is_strict, name_in_main
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.protocol.v2.types import LogicalType

_INDEXES = "SELECT name, sql FROM main.sqlite_master WHERE type = 'index' AND tbl_name = ? COLLATE NOCASE AND sql IS NOT NULL"


class SQLiteDdl(Ddl):
    """Creates staging tables in the target's database, work tables in the connection's temporary database."""

    def quoted_name(self, name: str) -> str:
        """Quote the name of a new table, without a leading ``main.``; any other dot is part of the name."""
        return self.quote(name_in_main(name))

    def sql_type(self, logical: LogicalType, *, key: bool) -> str:
        """See :func:`.type_names.sql_type`."""
        return type_names.sql_type(logical)

    def set_indexes_aside(self, connection: Connection, table: Table) -> list[str]:
        """Drop the indexes that CREATE INDEX created, whose statements SQLite stores; keep all indexes of an attached file."""
        if table.schema:
            return []
        found = driver_of(connection).execute(_INDEXES, (table.name,)).fetchall()
        for name, _ in found:
            connection.exec_driver_sql(f"DROP INDEX {self.quote(name)}")
        return [statement for _, statement in found]

    def create_staging(self, connection: Connection, layout: StagingLayout, *, name: str, temporary: bool = False) -> Table:
        """Create the table in the target's database, STRICT if the target is."""
        schema = "temp" if temporary else layout.target.schema
        staging = Table(name=name, schema=schema, columns=layout.columns, primary_key=layout.primary_key)
        definitions = [_definition(self.quote, column, key=column.name in layout.primary_key) for column in layout.columns]
        definitions.append(f"PRIMARY KEY ({self.columns(layout.primary_key)})")
        options = " STRICT" if is_strict(connection, layout.target) else ""
        connection.exec_driver_sql(f"CREATE TABLE {self.qualified(staging)} ({', '.join(definitions)}){options}")
        prefix = f"{self.quote(staging.schema)}." if staging.schema else ""
        for number, column_name in enumerate(layout.indexes):
            connection.exec_driver_sql(
                f"CREATE INDEX {prefix}{self.quote(f'{name}_{number}')} ON {self.quote(name)} ({self.quote(column_name)})"
            )
        return staging

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the work table in the connection's temporary database."""
        columns = (
            Column(name=OP, kind=target.columns[0].kind, sql_type="CHAR(1)", nullable=False),
            *(target.column(column) for column in key),
        )
        work = Table(name=name, schema="temp", columns=columns, primary_key=tuple(column.name for column in columns))
        # Work tables are not STRICT, because of their CHAR(1), and ANY converts values in tables that are not.
        kept = [
            msgspec.structs.replace(column, sql_type="") if column.sql_type.upper() == "ANY" else column for column in columns
        ]
        definitions = [_definition(self.quote, column, key=True) for column in kept]
        definitions.append(f"PRIMARY KEY ({self.columns(work.primary_key)})")
        connection.exec_driver_sql(f"CREATE TABLE {self.qualified(work)} ({', '.join(definitions)}) WITHOUT ROWID")
        return work


def _definition(quote: Callable[[str], str], column: Column, *, key: bool) -> str:
    collation = f" COLLATE {quote(column.collation)}" if column.collation else ""
    return f"{quote(column.name)} {column.sql_type}{' NOT NULL' if key or not column.nullable else ''}{collation}"
