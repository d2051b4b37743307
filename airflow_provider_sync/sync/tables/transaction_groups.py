"""Group the tables of a run into transactions: all in one, one for each, or together if foreign keys link them."""

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
    """Group the tables of a run by the transaction that merges them.

    If foreign keys cannot be disabled, parents and children share a transaction even if each table should have its own. Otherwise
    a deleted row could cascade to rows that refer to it, or an inserted row could refer to a row that does not exist yet.

    :param name_of: returns the name of an entry's target table
    :return: the groups, in the order of their first entries
    """
    if single_transaction or len(entries) < 2:
        return [list(entries)] if entries else []
    groups = [[entry] for entry in entries]
    # If the database does not answer, each table fails by itself and reports it.
    with suppress(SyncError):
        bound = database.foreign_keys.merged_together([name_of(entry) for entry in entries])
        groups = [[entries[number] for number in group] for group in bound]
    return groups


def in_order(named: Sequence[Named], names: Sequence[str]) -> list[Named]:
    """Sort reports or targets into the order of the run's tables."""
    places = {name: place for place, name in enumerate(names)}
    return sorted(named, key=lambda entry: places[entry.name])
