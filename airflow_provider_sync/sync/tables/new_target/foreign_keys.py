"""Add the foreign keys of new tables once all tables of the run exist and are filled; also those that an earlier run left.

Until then, a new table has the comment :data:`UNFINISHED`. A run that finds this comment knows that an earlier run was ended
before it added the foreign keys, and adds them:

::

    table with UNFINISHED as its comment ── rows ── foreign keys ── the source's comment
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import nullcontext

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.protocol.v2.described_details import ForeignKeyDescription
from airflow_provider_sync.sync.tables.new_target.details import UNSAFE_COMMENT, MadeTable, PlannedDetails, foreign_key_phrase
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT

Execute = Callable[[str], object]
"""Executes a statement."""

UNFINISHED = "Made by airflow-sync, which has yet to add its foreign keys. The next sync of this table does."
"""Comment of a table whose foreign keys are still to be added."""


def with_unfinished_comment(database: Database, planned: PlannedDetails) -> PlannedDetails:
    """Plan :data:`UNFINISHED` as the comment of a new table that has foreign keys to be added later."""
    if not (planned.foreign_keys and database.details.adds_foreign_keys):
        return planned
    if comment := database.details.table_comment(UNFINISHED):
        return msgspec.structs.replace(planned, table_comment=comment, unfinished=True)
    return msgspec.structs.replace(planned, comments={**planned.comments, None: UNFINISHED}, unfinished=True)


def is_unfinished(database: Database, connection: Connection, table: Table) -> bool:
    """Tell whether an earlier run created the table but was ended before it added the foreign keys."""
    return database.details.adds_foreign_keys and database.catalog.table_comment(connection, table) == UNFINISHED


def add_foreign_keys(
    database: Database,
    tables: Sequence[MadeTable],
    *,
    waits: LockWaits,
    failed: Collection[str] = (),
    dry_run: bool = False,
) -> list[MadeTable]:
    """Add the foreign keys of tables that a run has created, once all of them exist.

    :param waits: the waits for locks in this run
    :param failed: names of the run's targets that failed; a later run adds the foreign keys that refer to them
    :param dry_run: change nothing, and return the foreign keys that would be added if the database refused none
    :return: the tables, with the foreign keys that were added, and those that were refused, such as one that rows violate
    """
    return [_with_foreign_keys(database, made, waits, failed, dry_run) if made.unfinished else made for made in tables]


def _with_foreign_keys(
    database: Database, made: MadeTable, waits: LockWaits, failed: Collection[str], dry_run: bool
) -> MadeTable:
    added, refused = list(made.made), list(made.left_out)
    later = [key for key in made.foreign_keys if key.parent in failed]
    refused += [f"{foreign_key_phrase(key)}, which failed; the next run adds it" for key in later]
    try:
        with (
            waits.waiting(database) as waiting,
            nullcontext() if dry_run else waiting.exclusive([str(made.table)], timeout=LOCK_TIMEOUT),
            waiting.connect() as connection,
        ):
            execute = _in_words_only if dry_run else connection.exec_driver_sql
            for key in _missing(database, connection, made, later):
                name = database.details.foreign_key_name(connection, made.table, key.name)
                clause = database.details.foreign_key(msgspec.structs.replace(key, name=name))
                statement = f"ALTER TABLE {database.qualified(made.table)} ADD {clause}"
                _attempt(database, execute, statement, foreign_key_phrase(key), added, refused)
            if not later:
                _set_comment(database, execute, made, added, refused)
    except SyncError as error:
        # The rows have arrived, so the run does not fail: a warning names the foreign keys, and the next run adds them.
        refused.append(f"foreign keys: {error}".removesuffix("."))
    return msgspec.structs.replace(made, unfinished=False, foreign_keys=(), made=tuple(added), left_out=tuple(refused))


def _in_words_only(statement: str) -> None:
    """Execute nothing."""


def _missing(
    database: Database, connection: Connection, made: MadeTable, later: Collection[ForeignKeyDescription]
) -> Iterator[ForeignKeyDescription]:
    """Yield the foreign keys that the table lacks, except those in ``later``."""
    found = database.catalog.table_details(connection, made.table).foreign_keys
    there = {(key.columns, key.parent, key.parent_columns) for key in found}
    for key in made.foreign_keys:
        parents: Iterable[str] = (key.parent, key.parent.partition(".")[2])
        is_there = any((key.columns, parent, key.parent_columns) in there for parent in parents)
        if not is_there and key not in later:
            yield key


def _set_comment(database: Database, execute: Execute, made: MadeTable, added: list[str], refused: list[str]) -> None:
    """Set the table's comment to the source's, or remove it."""
    statements = database.details
    is_safe = made.comment is not None and bool(
        statements.table_comment(made.comment) or (statements.sets_comments and statements.literal(made.comment) is not None)
    )
    comment = made.comment if is_safe else None
    said: list[str] = []
    statement = statements.replace_table_comment(made.table, comment)
    _attempt(database, execute, statement, "comment of the table", said, refused)
    if comment is not None:
        added += said
    elif made.comment is not None:
        refused.append(f"comment of the table, {UNSAFE_COMMENT}")


def _attempt(database: Database, execute: Execute, statement: str, what: str, made: list[str], refused: list[str]) -> None:
    """Run a statement, and add ``what`` to ``made`` or ``refused``; only a transient error is raised."""
    try:
        with database.translate_errors():
            execute(statement)
        made.append(what)
    except TableError as error:
        if error.retryable:
            raise
        refused.append(f"{what}: {error}".removesuffix("."))
