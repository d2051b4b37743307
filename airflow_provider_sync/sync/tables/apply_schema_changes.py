"""Adapt a target to the columns of its source: alter the table, or sync only the columns that fit.

:mod:`.schema_changes` decides on the changes. This module makes them before any row is staged, under the lock of the table. If
the run is killed afterwards, the next run finds the table already altered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError
from airflow_provider_sync.sync.tables.schema_changes import SchemaChanges, SchemaDiffers, changes_in_words
from airflow_provider_sync.sync.tables.target import SyncedColumns, Target, resolve_target

Result = TypeVar("Result")
Adapt = Callable[[Target, SchemaChanges], Target]

_MAX_CHANGES = 3
"""Maximum number of times that the source's columns may change while one table is compared."""


def following_source(target: Target, adapt: Adapt, work: Callable[[Target], Result]) -> Result:
    """Run the first step of a sync; if the source's columns do not match the target's, adapt the target and repeat the step.

    :param adapt: returns the adapted target: :func:`altered` or :func:`narrowed`
    :raises SchemaDiffers: if the source's columns change again and again
    """
    for _ in range(_MAX_CHANGES):
        try:
            return work(target)
        except SchemaDiffers as differs:
            target = adapt(target, differs.changes)
    return work(target)


def narrowed(database: Database, target: Target, changes: SchemaChanges) -> Target:
    """Return the target limited to the columns that fit without altering the table, and with the changes that a run would make.

    A key column that is too narrow is still synced; staging tables get its wider type.
    """
    wider = {entry.column.name: entry.sql_type for entry in changes.widened if entry.column.name in target.key}
    columns = [
        msgspec.structs.replace(column, sql_type=wider.get(column.name, column.sql_type)) for column in target.table.columns
    ]
    return msgspec.structs.replace(
        target,
        table=msgspec.structs.replace(target.table, columns=tuple(columns)) if wider else target.table,
        synced=SyncedColumns(
            source=changes.usable,
            left_out=changes.left_out,
            widening=tuple(entry.column.name for entry in changes.widened),
        ),
        schema_changes=(*target.schema_changes, *changes_in_words(database, changes)),
    )


def altered(database: Database, target: Target, changes: SchemaChanges) -> Target:
    """Alter the target's table, and describe it again; without columns to add or widen, the table is not altered.

    The caller must hold the lock of the table.

    :raises TableError: if the database refuses; the table is as it was
    """
    if not changes.alters:
        return narrowed(database, target, changes)
    with database.connect() as connection:
        before = resolve_target(database, connection, target.options).table
        left = changes.needed_by(before)
        try:
            with database.translate_errors():
                database.ddl.change_columns(connection, before, left.added, left.widened)
        except TableError as error:
            if error.retryable:
                raise
            raise _refused(database, target, left, error) from error
        after = resolve_target(database, connection, target.options)
    for entry in left.widened:
        if after.table.column(entry.column.name) == entry.column:
            raise TableError(
                f"Table {target.name!r}: the database did not widen column {entry.column.name!r} to {entry.sql_type}."
                " Do it yourself, or set on_schema_change to 'add'."
            )
    return msgspec.structs.replace(
        after, key_range=target.key_range, schema_changes=(*target.schema_changes, *changes_in_words(database, left))
    )


def _refused(database: Database, target: Target, changes: SchemaChanges, error: TableError) -> TableError:
    return TableError(
        f"Table {target.name!r}: its columns could not be changed ({'; '.join(changes_in_words(database, changes))}). {error}",
        NOTHING_CHANGED,
        "What depends on a column, such as a view, a generated column or a foreign key, may have to be dropped first and made"
        f" again afterwards. Do that and change the column yourself, or set on_schema_change to"
        f" '{'ignore' if changes.added else 'add'}'.",
    )
