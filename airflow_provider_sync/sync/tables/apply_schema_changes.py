"""Follow the columns of a source: alter the target's table, or sync only the columns that fit it as it is.

What is to be done is decided in :mod:`.schema_changes`. Here it is done, in a run before any row is staged, and under the lock of
the table. A run that was killed afterwards leaves a table with more columns, which the next run finds as they should be.
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
"""Times that the source's columns may change while one table is compared."""


def following_source(target: Target, adapt: Adapt, work: Callable[[Target], Result]) -> Result:
    """Do the first step of a sync; where the source's columns are not the target's, adapt the target and begin again.

    :param adapt: returns the target as it is to be synced then: :func:`altered` or :func:`narrowed`
    :raises SchemaDiffers: if the source's columns change again and again
    """
    for _ in range(_MAX_CHANGES):
        try:
            return work(target)
        except SchemaDiffers as differs:
            target = adapt(target, differs.changes)
    return work(target)


def narrowed(database: Database, target: Target, changes: SchemaChanges) -> Target:
    """Return the target with only the columns that can be synced as it is, and what a run would change.

    A key that is to be widened takes part all the same, so staging tables get its wider type.
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
    """Alter the target's table, and describe it again; columns that are to be left out are no change of the table.

    The lock of the table has to be held.

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
