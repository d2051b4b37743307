"""Detect that another process altered, renamed, replaced or dropped a target during a step, and raise a retryable error.

Changes that the sync itself makes, because the source has other columns, are in :mod:`.apply_schema_changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.exceptions import ConfigurationError, TableError, TargetChangedError, TransportError
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
        # The target's description already has the future type of a column to widen, so it cannot be compared.
        if not target.synced.widening and _shape(found.table) != _shape(target.table):
            return target
    return None


def _shape(table: Table) -> object:
    return table.columns, table.primary_key, table.triggers, table.cannot_roll_back
