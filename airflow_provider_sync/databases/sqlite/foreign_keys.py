"""Handle SQLite's foreign keys during a merge: switch checks off, count orphans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.sqlite.catalog import list_children
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError


class SQLiteForeignKeys(ForeignKeys):
    """Switches the connection's foreign-key checks off."""

    @contextmanager
    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> Iterator[None]:
        """Switch this connection's checks off, outside of a transaction, in which SQLite would ignore that.

        :raises TableError: if the checks stay on and a table has foreign keys
        """
        before = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        bound = next((table for table in tables if table.foreign_keys), None)
        if bound is not None and connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
            raise TableError(
                f"Table {str(bound)!r}: PRAGMA foreign_keys = OFF has no effect on this connection, so that actions of foreign"
                " keys would change other rows.",
                NOTHING_CHANGED,
                "Open the database without a transaction or an authorizer.",
            )
        try:
            yield
        finally:
            if before:
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Run ``PRAGMA foreign_key_check``; name a constraint by its columns, since SQLite does not keep its name."""
        schema = table.schema or "main"
        orphans: Counter[str] = Counter()
        for child in {table.name, *list_children(connection, schema, table.name)}:
            keys: dict[int, tuple[str, list[str]]] = {}
            listed = connection.exec_driver_sql(
                'SELECT id, "table", "from" FROM pragma_foreign_key_list(?, ?) ORDER BY id, seq', (child, schema)
            )
            for number, parent, column in listed:
                keys.setdefault(number, (parent, []))[1].append(column)
            for (number,) in connection.exec_driver_sql("SELECT fkid FROM pragma_foreign_key_check(?, ?)", (child, schema)):
                parent, columns = keys[number]
                if table.name.lower() in (child.lower(), parent.lower()):
                    orphans[f"{child}.{'_'.join(columns)}"] += 1
        return dict(orphans)
