"""Detect that another process altered, renamed, replaced or dropped a target during a step, and raise a retryable error.

A trigger or foreign key that was added after the target was described could change other rows unnoticed.

Changes that the sync itself makes, because the source has other columns, are in :mod:`.apply_schema_changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ConfigurationError, TableError, TargetChangedError, TransportError
from airflow_provider_sync.sync.tables.target import Target, resolve_target


@contextmanager
def noticing_alterations(database: Database, targets: Callable[[], Iterable[Target]]) -> Iterator[None]:
    """Turn a permanent table error of the block into a retryable one if a target is no longer as it was described.

    :param targets: returns the targets as described before the block
    :raises TargetChangedError: with the message of the original error
    """
    try:
        yield
    except TableError as error:
        if error.retryable or not (altered := _altered(database, targets())):
            raise
        changed = TargetChangedError(
            *error.args, f"Table {altered.name!r} was altered meanwhile, which may be the reason: try again."
        )
        changed.table, changed.may_have_changed = error.table, error.may_have_changed
        raise changed from error


def _altered(database: Database, targets: Iterable[Target]) -> Target | None:
    """Return the first target that was dropped, or whose columns, key or triggers changed."""
    for target in targets:
        try:
            with database.connect() as connection:
                found = resolve_target(database, connection, target.options)
        except TransportError:
            return None
        except (TableError, ConfigurationError):
            return target
        if _differs(found, target):
            return target
    return None


def refuse_altered(database: Database, connection: Connection, targets: Sequence[Target]) -> None:
    """Raise an error if a target is no longer as it was described.

    :param connection: a connection inside the transaction of the merge
    :raises TargetChangedError: naming the target
    :raises TableError: if the target cannot be synced any more
    """
    for found, target in zip(_described(database, connection, targets), targets, strict=True):
        if _differs(found, target):
            altered = TargetChangedError(
                f"Table {target.name!r} was altered during the sync, or got another trigger or foreign key.",
                NOTHING_CHANGED,
                "Try again.",
            )
            altered.table = target.name
            raise altered


def described_again(database: Database, connection: Connection, targets: Sequence[Target]) -> Iterator[Target]:
    """Yield the targets as they are now, with what the sync has found out about them.

    :raises TableError: if a target cannot be synced any more
    """
    for found, target in zip(_described(database, connection, targets), targets, strict=True):
        found.check_rollback()
        if target.synced.widening:
            yield target  # its description already has the future types
        else:
            yield msgspec.structs.replace(
                target, table=found.table, key=found.key, mode=found.mode, trailing_zeros=found.trailing_zeros
            )


def _described(database: Database, connection: Connection, targets: Sequence[Target]) -> Iterator[Target]:
    with database.translate_errors():
        found = database.catalog.describe_many(connection, [target.options.table_name for target in targets])
        for target in targets:
            yield resolve_target(database, connection, target.options, found.get(target.options.table_name))


def _differs(found: Target, target: Target) -> bool:
    # The target's description already has the future type of a column to widen, so its columns cannot be compared.
    is_widened = bool(target.synced.widening)
    return _shape(found.table, is_widened) != _shape(target.table, is_widened)


def _shape(table: Table, is_widened: bool) -> object:
    acting = (table.triggers, table.functions, table.foreign_keys)
    return acting, table.primary_key, table.cannot_roll_back, table.kept_elsewhere, None if is_widened else table.columns
