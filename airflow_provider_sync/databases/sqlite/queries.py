"""Describe queries, by the types that SQLite derives, and mask columns, with a registered hash function."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.queries import Queries
from airflow_provider_sync.databases.schema import Column
from airflow_provider_sync.databases.sql_text import Syntax
from airflow_provider_sync.databases.sqlite.catalog import describe_columns
from airflow_provider_sync.databases.sqlite.session import driver_of
from airflow_provider_sync.databases.sqlite.slice_sql import SliceSQL, affinity, where
from airflow_provider_sync.databases.sqlite.text import expression, logical_type
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType


class SQLiteQueries(Queries):
    """Describes queries and masks columns. A SELECT cannot write on SQLite, so queries need no other protection."""

    syntax = Syntax(quotes="'\"`[")

    def describe(self, connection: Connection, query: str) -> tuple[Column, ...]:
        """See :func:`.catalog.describe_columns`. An expression has a type if it is a CAST."""
        return describe_columns(connection, f"({query}\n)")

    def finds_ranges(self, connection: Connection, table_slice: TableSlice) -> bool:
        """Whether the plan searches every table by an index or row id (SEARCH), rather than scanning it."""
        condition, values = SliceSQL(table_slice, self.database).condition()
        statement = f"SELECT 1 FROM {self.relation(table_slice.table)} AS t{where(condition)}"
        plan = driver_of(connection).execute(f"EXPLAIN QUERY PLAN {statement}", values).fetchall()
        return not any(step[-1].startswith("SCAN") for step in plan)

    def hashed(self, column: Column, secret: bytes) -> str:
        """Call the function that :func:`.text.register_functions` registers."""
        logical = logical_type(column)
        if logical.kind is LogicalKind.ANY:
            logical = LogicalType(kind=LogicalKind.TEXT)
        text = expression(self.name(column), logical, affinity(column))
        return f"CAST(sync_hmac(x'{secret.hex()}', CAST({text} AS TEXT)) AS TEXT)"

    def year(self, column: Column) -> str:
        """Extract the year of a value that SQLite's date functions accept."""
        return f"CAST(strftime('%Y', {self.name(column)}) AS INTEGER)"

    def redacted(self, column: Column) -> str:
        """See :meth:`.Queries.redacted`; also casts the text to its type."""
        return f"CAST({super().redacted(column)} AS TEXT)"
