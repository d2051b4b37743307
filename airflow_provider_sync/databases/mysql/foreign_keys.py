"""Handle foreign keys during a merge on MySQL and MariaDB: switch checks off, count orphans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.schema import Table

# References from other databases are not searched; see the reason in `catalog.py`.
_CONSTRAINTS = text(
    "SELECT CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME,"
    " REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND ((TABLE_NAME = :name AND REFERENCED_TABLE_NAME IS NOT NULL)"
    " OR (REFERENCED_TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND REFERENCED_TABLE_NAME = :name))"
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"
)


class MySQLForeignKeys(ForeignKeys):
    """Switches the session's foreign-key checks off."""

    @contextmanager
    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> Iterator[None]:
        """Switch the session's foreign-key checks off, and always restore their setting afterwards."""
        before = int(connection.exec_driver_sql("SELECT @@SESSION.foreign_key_checks").scalar_one())
        connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql(f"SET SESSION foreign_key_checks = {before}")

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count rows without a parent, in ``table`` and in the tables that refer to it."""
        rows = connection.execute(_CONSTRAINTS, {"schema": table.schema, "name": table.name}).all()
        counts = {}
        for (_, child, name), parts in groupby(rows, key=lambda row: (row.TABLE_SCHEMA, row.TABLE_NAME, row.CONSTRAINT_NAME)):
            if orphans := int(connection.exec_driver_sql(self._orphans(list(parts))).scalar_one()):
                counts[f"{child}.{name}"] = orphans
        return counts

    def _orphans(self, parts: Sequence[Row[Any]]) -> str:
        """Return the query that counts a constraint's rows without a parent; a key with a NULL is no orphan (MATCH SIMPLE)."""
        quote, first = self.quote, parts[0]
        child = f"{quote(first.TABLE_SCHEMA)}.{quote(first.TABLE_NAME)}"
        parent = f"{quote(first.REFERENCED_TABLE_SCHEMA)}.{quote(first.REFERENCED_TABLE_NAME)}"
        join = " AND ".join(f"p.{quote(part.REFERENCED_COLUMN_NAME)} = c.{quote(part.COLUMN_NAME)}" for part in parts)
        refers = " AND ".join(f"c.{quote(part.COLUMN_NAME)} IS NOT NULL" for part in parts)
        missing = f"p.{quote(first.REFERENCED_COLUMN_NAME)} IS NULL"
        return f"SELECT COUNT(*) FROM {child} AS c LEFT JOIN {parent} AS p ON {join} WHERE {refers} AND {missing}"
