"""Indexes, foreign keys and defaults of new tables of SQLite, which has no comments."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import IndexDescription


class SQLiteDetailStatements(DetailStatements):
    """Foreign keys stand in the CREATE TABLE, and may refer to tables that are not there yet."""

    has_comments = False
    sets_comments = False
    adds_foreign_keys = False

    def index(self, table: Table, index: IndexDescription) -> str:
        """Return the statement; the schema stands before the name of the index, not of the table."""
        statement = super().index(table, index)
        if not table.schema:
            return statement
        name = self.quote(self.index_name(table, index.name))
        return statement.replace(
            f"INDEX {name} ON {self.qualified(table)}", f"INDEX {self.quote(table.schema)}.{name} ON {self.quote(table.name)}"
        )
