"""Which tables of a run share a transaction: all of them, each its own, or those that foreign keys hold together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol, TypeVar

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import SyncError

Entry = TypeVar("Entry")


class _HasName(Protocol):
    @property
    def name(self) -> str:
        """The name under which the server offers a table."""


Named = TypeVar("Named", bound=_HasName)


def transaction_groups(
    database: Database, entries: Sequence[Entry], name_of: Callable[[Entry], str], *, single_transaction: bool
) -> list[list[Entry]]:
    """Cut the tables of a run into those that are merged together.

    Where foreign keys cannot be switched off, parents and children share a transaction even if each table is to have its own:
    otherwise deleted rows would delete those that refer to them, or inserted rows would refer to rows that are not there yet.

    :param name_of: returns the name of an entry's target table
    :return: the groups, in the order of their first entries
    """
    if single_transaction or len(entries) < 2:
        return [list(entries)] if entries else []
    groups = [[entry] for entry in entries]
    # If the database cannot be asked, no table can be merged, and each reports that.
    with suppress(SyncError):
        bound = database.foreign_keys.merged_together([name_of(entry) for entry in entries])
        groups = [[entries[number] for number in group] for group in bound]
    return groups


def in_order(named: Sequence[Named], names: Sequence[str]) -> list[Named]:
    """Sort reports or targets as the run names its tables."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(named, key=lambda entry: places[entry.name])
