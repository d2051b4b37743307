"""Describe queries, and mask columns on DuckDB."""

from __future__ import annotations

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.queries import Queries, hmac_blocks
from airflow_provider_sync.databases.duckdb.catalog import describe_query
from airflow_provider_sync.databases.duckdb.errors import translated
from airflow_provider_sync.databases.duckdb.text import canonical_text, logical_type
from airflow_provider_sync.databases.schema import Column, Kind
from airflow_provider_sync.databases.sql_text import Syntax
from airflow_provider_sync.databases.table_slice import TableSlice


class DuckDBQueries(Queries):
    """Describes queries and masks columns. Queries run in a read-only transaction, so they cannot write to the database."""

    syntax = Syntax(dollar_quotes=True, nested_comments=True)

    def describe(self, connection: Connection, query: str) -> tuple[Column, ...]:
        """See :func:`.catalog.describe_query`; DuckDB describes a query without running it."""
        with translated():
            return describe_query(connection, query)

    def finds_ranges(self, connection: Connection, table_slice: TableSlice) -> bool:
        """Return false: DuckDB uses indexes only for single keys, and scans for a range."""
        return False

    def hashed(self, column: Column, secret: bytes) -> str:
        """Compute the HMAC from two hashes of bytes."""
        inner, outer = (f"unhex('{block}')" for block in hmac_blocks(secret))
        text = canonical_text(column, logical_type(column), self.name(column))
        return f"sha256({outer} || unhex(sha256({inner} || encode({text}))))"

    def year(self, column: Column) -> str:
        """Extract the year; of a timestamptz, in UTC."""
        name = self.name(column)
        day = f"{name} AT TIME ZONE 'UTC'" if column.kind is Kind.TIMESTAMP else name
        return f"CAST(year({day}) AS INTEGER)"
