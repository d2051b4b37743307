"""Write the SQL for indexes, foreign keys, defaults and comments of new tables on MySQL and MariaDB."""

from __future__ import annotations

from sqlalchemy import Connection, text

from airflow_provider_sync.databases.contract.detail_statements import DetailStatements, bounded
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import DefaultValue
from airflow_provider_sync.protocol.v2.types import LogicalType

_FOREIGN_KEY = text(
    "SELECT 1 FROM information_schema.REFERENTIAL_CONSTRAINTS"
    " WHERE CONSTRAINT_SCHEMA = COALESCE(:schema, DATABASE()) AND CONSTRAINT_NAME = :name"
)
_MAX_COLUMN_COMMENT = 1024
_MAX_TABLE_COMMENT = 2048
"""Maximum characters of comments: `Comment for field is too long` is an error in strict mode."""


class MySQLDetailStatements(DetailStatements):
    """Writes comments as part of the definitions."""

    sets_comments = False
    names_are_per_table = True
    indexes_in_table = True

    def default(self, value: DefaultValue, logical: LogicalType, sql_type: str) -> str | None:
        """See :meth:`.DetailStatements.default`; MySQL does not support literal defaults of long texts."""
        return None if sql_type.startswith("LONG") else super().default(value, logical, sql_type)

    def foreign_key_name(self, connection: Connection, table: Table, name: str) -> str:
        """Prefix the table's name if another table has a foreign key of that name, since names are unique per database."""
        place = {"schema": table.schema, "name": bounded(name)}
        return f"{table.name}_{name}" if connection.execute(_FOREIGN_KEY, place).first() else name

    def present_time(self, logical: LogicalType) -> str:
        """Return the current time with as many digits as the column has, as the server requires."""
        return f"CURRENT_TIMESTAMP({logical.scale or 0})"

    def column_comment(self, comment: str) -> str | None:
        """Return the COMMENT clause of a column's definition."""
        literal = self.literal(comment) if len(comment) <= _MAX_COLUMN_COMMENT else None
        return None if literal is None else f"COMMENT {literal}"

    def table_comment(self, comment: str) -> str | None:
        """Return the COMMENT option of a table."""
        literal = self.literal(comment) if len(comment) <= _MAX_TABLE_COMMENT else None
        return None if literal is None else f" COMMENT={literal}"

    def replace_table_comment(self, table: Table, comment: str | None) -> str:
        """Return an ALTER TABLE, which changes only the definition, without copying rows."""
        return f"ALTER TABLE {self.qualified(table)}{(comment and self.table_comment(comment)) or self.table_comment('')}"
