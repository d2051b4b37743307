"""Indexes, foreign keys, defaults and comments of new tables of PostgreSQL."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements
from airflow_provider_sync.databases.schema import Table


class PostgreSQLDetailStatements(DetailStatements):
    """Comments are statements of their own."""

    has_comments = True

    def comment_statement(self, table: Table, comment: str, column: str | None = None) -> str | None:
        """Return the COMMENT ON."""
        literal = self.literal(comment)
        if literal is None:
            return None
        if column is None:
            return f"COMMENT ON TABLE {self.qualified(table)} IS {literal}"
        return f"COMMENT ON COLUMN {self.qualified(table)}.{self.quote(column)} IS {literal}"
