"""Which tables of a run share a transaction: all of them, each its own, or those that foreign keys hold together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import ConfigurationError, SyncError

LOCK_TIMEOUT = 60.0
"""Seconds to wait for another sync of the same table."""

Entry = TypeVar("Entry")


class _HasName(Protocol):
    @property
    def name(self) -> str:
        """The name under which the server offers a table."""


Named = TypeVar("Named", bound=_HasName)


def transaction_groups(
    database: Database, entries: Sequence[Entry], options_of: Callable[[Entry], TargetTable], *, single_transaction: bool
) -> list[list[Entry]]:
    """Cut the tables of a run into those that are merged together.

    Where foreign keys cannot be switched off, parents and children share a transaction even if each table is to have its own:
    otherwise deleted rows would delete those that refer to them, or inserted rows would refer to rows that are not there yet.
    Sources that have one target share a transaction, whose locks refuse that.

    :param options_of: returns the options of an entry's table
    :return: the groups, in the order of their first entries
    """
    if single_transaction or len(entries) < 2:
        return [list(entries)] if entries else []
    tables = [options_of(entry) for entry in entries]
    if _share_a_target(database, tables):
        return [list(entries)]
    groups = [[entry] for entry in entries]
    # If the database cannot be asked, no table can be merged, and each reports that.
    with suppress(SyncError):
        bound = database.foreign_keys.merged_together([table.table_name for table in tables])
        groups = [[entries[number] for number in group] for group in bound]
    return groups


def _share_a_target(database: Database, tables: Iterable[TargetTable]) -> bool:
    """Whether two sources have one target, so that each deletes what the other brings."""
    names = [table.table_name for table in tables if table.mode not in ("upsert", "append") and table.window is None]
    try:
        with database.exclusive(names, timeout=0):
            return False
    except ConfigurationError:
        return True
    except SyncError:
        return False  # a lock that is held is waited for later, and a database that does not answer is reported for each table


def in_order(named: Sequence[Named], names: Sequence[str]) -> list[Named]:
    """Sort reports or targets as the run names its tables."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(named, key=lambda entry: places[entry.name])
