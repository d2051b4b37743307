"""Indexes, foreign keys, defaults and comments of new tables of MySQL and MariaDB."""

from __future__ import annotations

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements
from airflow_provider_sync.protocol.v2.described_details import DefaultValue
from airflow_provider_sync.protocol.v2.types import LogicalType


class MySQLDetailStatements(DetailStatements):
    """Comments stand in the definitions."""

    has_comments = True
    names_are_per_table = True

    def default(self, value: DefaultValue, logical: LogicalType, sql_type: str) -> str | None:
        """Return the DEFAULT; MySQL has none for long texts."""
        return None if sql_type.startswith("LONG") else super().default(value, logical, sql_type)

    def present_time(self, logical: LogicalType) -> str:
        """Return the present time with as many digits as the column has, which the server insists on."""
        return f"CURRENT_TIMESTAMP({logical.scale or 0})"

    def column_comment(self, comment: str) -> str | None:
        """Return the COMMENT of a column's definition."""
        literal = self.literal(comment)
        return None if literal is None else f"COMMENT {literal}"

    def table_comment(self, comment: str) -> str | None:
        """Return the COMMENT of a table."""
        literal = self.literal(comment)
        return None if literal is None else f" COMMENT={literal}"
