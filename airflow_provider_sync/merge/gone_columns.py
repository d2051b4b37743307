"""Set target columns to NULL that the source no longer has (``gone_columns: set_null``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError

_ADVICE = "Drop the column, or what forbids NULL in it, or set gone_columns to 'keep'."


def columns_with_values(database: Database, connection: Connection, table: Table, names: Sequence[str]) -> tuple[str, ...]:
    """Return those of the named columns that hold a value in any row, ended rows included; scans the table once.

    :raises TableError: if one of them has values but does not allow NULL
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
    """Make database errors say that ``gone_columns`` could not set these columns to NULL, and what to do."""
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

    :raises TableError: if one of them has values, which a trigger wrote or kept
    """
    if held := columns_with_values(database, connection, table, names):
        raise TableError(
            f"gone_columns has set {', '.join(map(repr, held))} to NULL, and something in the target's database, such as a"
            " trigger, gave it values.",
            NOTHING_CHANGED,
            "Drop the column, or what writes to it, or set gone_columns to 'keep'.",
        ).without_subject()


def forgotten_in_words(names: Sequence[str]) -> tuple[str, ...]:
    """Return the entries of a report's ``schema_changes`` for columns that are set to NULL."""
    return tuple(f"set column {name!r} to NULL" for name in names)
