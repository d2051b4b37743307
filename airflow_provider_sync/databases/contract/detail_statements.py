"""Write the SQL for details of a new target besides columns and key: indexes, foreign keys, defaults and comments.

The details come from another server: names are quoted, values are written as literals here, and received text is never executed.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import ClassVar

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.protocol.v2.described_details import DefaultValue, ForeignKeyDescription, IndexDescription
from airflow_provider_sync.protocol.v2.types import LogicalKind, LogicalType

_SAFE = re.compile(r"[^\\\0]*")
"""Text without backslashes, which are escapes under some settings."""

_WITHOUT_DEFAULT = frozenset({LogicalKind.BYTES, LogicalKind.JSON, LogicalKind.ANY})
_MOMENTS = frozenset({LogicalKind.TIMESTAMP, LogicalKind.TIMESTAMPTZ})
_MAX_NAME = 63


class DetailStatements(DatabaseComponent):
    """Writes statements in the SQL that databases share; PostgreSQL needs no overrides."""

    has_comments: ClassVar[bool] = True
    """Whether tables and columns can have comments."""

    sets_comments: ClassVar[bool] = True
    """Whether comments are set by separate statements, ``COMMENT ON``."""

    names_are_per_table: ClassVar[bool] = False
    """Whether two tables may have indexes of the same name."""

    has_foreign_keys: ClassVar[bool] = True
    """Whether new tables can get foreign keys, by CREATE TABLE or ALTER TABLE."""

    adds_foreign_keys: ClassVar[bool] = True
    """Whether a foreign key can be added to an existing table; otherwise it is part of the CREATE TABLE."""

    indexes_in_table: ClassVar[bool] = False
    """Whether indexes are part of the CREATE TABLE, for engines that cannot run it and CREATE INDEX in one transaction."""

    def literal(self, text: str) -> str | None:
        """Write a text as a literal for the driver; ``None`` if the literal would not be safe under every server setting."""
        if not _SAFE.fullmatch(text):
            return None
        percent = self.quote("%")[1:-1]
        return "'" + text.replace("'", "''").replace("%", percent) + "'"

    def default(self, value: DefaultValue, logical: LogicalType, sql_type: str) -> str | None:
        """Return the SQL of a column's default; ``None`` if this database, or the column's type, does not support it.

        :param sql_type: type of the new column
        """
        if value.text is None:
            return f"DEFAULT {self.present_time(logical)}" if logical.kind in _MOMENTS else None
        literal = None if logical.kind in _WITHOUT_DEFAULT else self.literal(value.text)
        return None if literal is None else f"DEFAULT {literal}"

    def present_time(self, logical: LogicalType) -> str:
        """Return the expression of the current time for a default."""
        return "CURRENT_TIMESTAMP"

    def column_comment(self, comment: str) -> str | None:
        """Return the comment clause of a column's definition; ``None`` if comments are separate statements, or it is unsafe."""
        return None

    def table_comment(self, comment: str) -> str | None:
        """Return the comment clause after the columns of a CREATE TABLE; see :meth:`column_comment`."""
        return None

    def comment_statement(self, table: Table, comment: str, column: str | None) -> str:
        """Return the statement that sets a safe comment, for databases with :attr:`sets_comments`.

        :param column: ``None`` for the comment of the table
        """
        literal = self.literal(comment)
        if column is None:
            return f"COMMENT ON TABLE {self.qualified(table)} IS {literal}"
        return f"COMMENT ON COLUMN {self.qualified(table)}.{self.quote(column)} IS {literal}"

    def replace_table_comment(self, table: Table, comment: str | None) -> str:
        """Return the statement that changes or removes a table's comment, after everything else has been created."""
        literal = None if comment is None else self.literal(comment)
        return f"COMMENT ON TABLE {self.qualified(table)} IS {literal or 'NULL'}"

    def index(self, table: Table, index: IndexDescription) -> str:
        """Return the statement that creates an index."""
        name = self.quote(self.index_name(table, index.name))
        return f"CREATE {'UNIQUE ' if index.unique else ''}INDEX {name} ON {self.qualified(table)} ({self.index_columns(index)})"

    def index_clause(self, index: IndexDescription) -> str:
        """Return the clause of a CREATE TABLE that defines an index, for databases with :attr:`indexes_in_table`."""
        return f"{'UNIQUE ' if index.unique else ''}KEY {self.quote(bounded(index.name))} ({self.index_columns(index)})"

    def index_columns(self, index: IndexDescription) -> str:
        """Return the list of columns in the definition of an index."""
        return ", ".join(f"{self.quote(name)}{' DESC' if name in index.descending else ''}" for name in index.columns)

    def index_name(self, table: Table, name: str) -> str:
        """Return the name of a new index: the source's, prefixed with the table's if index names must be unique in a schema."""
        if not (self.names_are_per_table or name.startswith(table.name)):
            name = f"{table.name}_{name}"
        return bounded(name)

    def foreign_key_name(self, connection: Connection, table: Table, name: str) -> str:
        """Return a name for a new foreign key: the source's, unless the database does not allow it."""
        return name

    def foreign_key(self, key: ForeignKeyDescription) -> str:
        """Return the clause of a foreign key, for a CREATE TABLE or an ALTER TABLE ADD.

        :param key: the foreign key, with the names of the target; its ``parent`` may be ``schema.table``
        """
        parent = self.database.ddl.quoted_name(key.parent)
        return (
            f"CONSTRAINT {self.quote(bounded(key.name))} FOREIGN KEY ({self.columns(key.columns)})"
            f" REFERENCES {parent} ({self.columns(key.parent_columns)}) ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
        )


def bounded(name: str) -> str:
    """Shorten a name to what every database allows; a digest distinguishes two long names."""
    if len(name.encode()) <= _MAX_NAME:
        return name
    cut = name.encode()[: _MAX_NAME - 9].decode(errors="ignore")
    return f"{cut}_{sha256(name.encode()).hexdigest()[:8]}"
