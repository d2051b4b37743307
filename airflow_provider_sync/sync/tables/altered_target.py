"""A target that somebody alters, renames, replaces or drops while a step works on it: the error says so, and is one to retry.

What the sync itself alters, because the source has other columns, is in :mod:`.apply_schema_changes`.
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
    """Turn an error about a table, which no retry would help, into one to retry if a target is not as it was described.

    :param targets: returns the targets as the block took them to be
    :raises TargetChangedError: with what the error says
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
    """Return the first target that is gone, or has other columns, another key or other triggers than before."""
    for target in targets:
        try:
            with database.connect() as connection:
                found = resolve_target(database, connection, target.options)
        except TransportError:
            return None
        except (TableError, ConfigurationError):
            return target
        # A column that is to be widened is described with the type that it would get.
        if not target.synced.widening and _shape(found.table) != _shape(target.table):
            return target
    return None


def _shape(table: Table) -> object:
    return table.columns, table.primary_key, table.triggers, table.cannot_roll_back
