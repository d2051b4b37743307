"""Columns that are gone at the source, and whose values the target is to forget, as ``gone_columns: set_null`` asks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError

_ADVICE = "Drop the column, or what forbids NULL in it, or set gone_columns to 'keep'."


def columns_with_values(database: Database, connection: Connection, table: Table, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of these columns that are not NULL in some row, ended rows included; it is one scan of the table.

    :raises TableError: if one of them has values, and can never be NULL
    """
    if not names:
        return ()
    counts = ", ".join(f"COUNT({database.quote(name)})" for name in names)
    with database.translate_errors():
        found = connection.exec_driver_sql(f"SELECT {counts} FROM {database.qualified(table)}").one()
    held = tuple(name for name, count in zip(names, found, strict=True) if count)
    for name in held:
        if name in table.primary_key or not table.column(name).nullable:
            raise TableError(
                f"the source has no column {name!r}, and gone_columns cannot set it to NULL, since it is"
                f" {'part of the primary key' if name in table.primary_key else 'NOT NULL'}.",
                NOTHING_CHANGED,
                _ADVICE,
            ).without_subject()
    return held


@contextmanager
def explaining_refusals(database: Database, names: Sequence[str]) -> Iterator[None]:
    """Say of an error of the database what was to be written, and what to do."""
    try:
        with database.translate_errors():
            yield
    except TableError as error:
        if error.retryable:
            raise
        listed = ", ".join(map(repr, names))
        refused = f"gone_columns could not set {listed} to NULL, which the source has no longer: {error}"
        raise TableError(refused, NOTHING_CHANGED, _ADVICE).without_subject() from error


def check_forgotten(database: Database, connection: Connection, table: Table, names: Sequence[str]) -> None:
    """Check, after all writes, that these columns are NULL.

    :raises TableError: if one of them is not, since triggers have written to it, or kept it
    """
    if held := columns_with_values(database, connection, table, names):
        raise TableError(
            f"gone_columns has set {', '.join(map(repr, held))} to NULL, and something in the target's database, such as a"
            " trigger, gave it values.",
            NOTHING_CHANGED,
            "Drop the column, or what writes to it, or set gone_columns to 'keep'.",
        ).without_subject()


def forgotten_in_words(names: Sequence[str]) -> tuple[str, ...]:
    """Say what is done to columns, or was done, for ``schema_changes`` of a report."""
    return tuple(f"set column {name!r} to NULL" for name in names)
