"""Foreign keys from and to a table on MySQL and MariaDB, and the rows without a parent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.schema import Table

# References from other databases are not searched: see the catalog.
_CONSTRAINTS = text(
    "SELECT CONSTRAINT_NAME, TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME,"
    " REFERENCED_COLUMN_NAME FROM information_schema.KEY_COLUMN_USAGE"
    " WHERE TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND ((TABLE_NAME = :name AND REFERENCED_TABLE_NAME IS NOT NULL)"
    " OR (REFERENCED_TABLE_SCHEMA = COALESCE(:schema, DATABASE()) AND REFERENCED_TABLE_NAME = :name))"
    " ORDER BY TABLE_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, ORDINAL_POSITION"
)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """One constraint.

    :ivar child: database and table that hold the constraint
    :ivar parent: database and table that it refers to
    :ivar columns: pairs of child's and parent's column
    """

    name: str
    child: tuple[str, str]
    parent: tuple[str, str]
    columns: Sequence[tuple[str, str]]

    def orphans(self, quote: Callable[[str], str]) -> str:
        """Return the query that counts the child's rows without a parent; a NULL anywhere refers to nothing (MATCH SIMPLE)."""
        child, parent = (".".join(map(quote, names)) for names in (self.child, self.parent))
        join = " AND ".join(f"p.{quote(there)} = c.{quote(here)}" for here, there in self.columns)
        refers = " AND ".join(f"c.{quote(here)} IS NOT NULL" for here, _ in self.columns)
        missing = f"p.{quote(self.columns[0][1])} IS NULL"
        return f"SELECT COUNT(*) FROM {child} AS c LEFT JOIN {parent} AS p ON {join} WHERE {refers} AND {missing}"


def foreign_keys(connection: Connection, table: Table) -> list[ForeignKey]:
    """Return the constraints of ``table``, and those of other tables of its database that refer to it."""
    rows = connection.execute(_CONSTRAINTS, {"schema": table.schema, "name": table.name})
    keys = []
    for _, parts in groupby(rows, key=lambda row: (row.TABLE_SCHEMA, row.TABLE_NAME, row.CONSTRAINT_NAME)):
        columns = list(parts)
        first = columns[0]
        keys.append(
            ForeignKey(
                name=first.CONSTRAINT_NAME,
                child=(first.TABLE_SCHEMA, first.TABLE_NAME),
                parent=(first.REFERENCED_TABLE_SCHEMA, first.REFERENCED_TABLE_NAME),
                columns=[(part.COLUMN_NAME, part.REFERENCED_COLUMN_NAME) for part in columns],
            )
        )
    return keys


def count_orphans(connection: Connection, table: Table, quote: Callable[[str], str]) -> dict[str, int]:
    """Count the rows without a parent, by ``table.constraint``, for constraints that have any."""
    counts = {
        f"{key.child[1]}.{key.name}": int(connection.exec_driver_sql(key.orphans(quote)).scalar_one())
        for key in foreign_keys(connection, table)
    }
    return {name: count for name, count in counts.items() if count}


class MySQLForeignKeys(ForeignKeys):
    """Switches the session's checks off."""

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
        return count_orphans(connection, table, self.quote)
