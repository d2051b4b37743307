"""Write the SQL for indexes, foreign keys and defaults of new tables on SQLite, which has no comments."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import IndexDescription


class SQLiteDetailStatements(DetailStatements):
    """Writes foreign keys as part of the CREATE TABLE; they may refer to tables that do not exist yet."""

    has_comments = False
    sets_comments = False
    adds_foreign_keys = False

    def index(self, table: Table, index: IndexDescription) -> str:
        """Return the statement that creates an index; SQLite wants the schema before the index's name, not the table's."""
        statement = super().index(table, index)
        if not table.schema:
            return statement
        name = self.quote(self.index_name(table, index.name))
        return statement.replace(
            f"INDEX {name} ON {self.qualified(table)}", f"INDEX {self.quote(table.schema)}.{name} ON {self.quote(table.name)}"
        )
