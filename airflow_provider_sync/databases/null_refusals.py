"""The error for NULL in a column of the target that is NOT NULL."""

from __future__ import annotations

from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import TableError

DROP_NOT_NULL = "ALTER TABLE … ALTER COLUMN … DROP NOT NULL"
"""The statement that lets a column be NULL, where databases have it."""


def null_refusal(table: Table, name: str, remedy: str) -> TableError:
    """Return the error for NULL in a column.

    :param table: the table that is loaded
    :param remedy: how the column becomes one that may be NULL, as a statement or in words
    """
    place = f"Table {table.label!r}, column {name!r}: the source has NULL"
    if name in table.primary_key:
        return TableError(f"{place}, and the column is part of the key. Give its rows a value, or use another key (`primary`).")
    return TableError(
        f"{place}, and the target's column is NOT NULL. Let it be NULL ({remedy}), leave it out with `columns`, or give the rows"
        " of the source a value."
    )


def null_column(message: str, table: Table) -> str | None:
    """Return the column that a message of SQLite or DuckDB names: ``NOT NULL constraint failed: orders.name``.

    :return: ``None`` for other messages
    """
    _, found, place = message.partition("NOT NULL constraint failed: ")
    name = place.strip().removeprefix(f"{table.name}.")
    return name if found and name in (column.name for column in table.columns) else None
