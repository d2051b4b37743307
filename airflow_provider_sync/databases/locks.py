"""Locks that keep two syncs from writing one table at the same time.

The engines take the locks. They resolve table names first, so that a table has one lock under all its names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from airflow_provider_sync.exceptions import NOTHING_CHANGED, ConfigurationError, LockTimeoutError, TableBusyError


class TableLock(Protocol):
    """The locks of all tables that one merge writes to, held together."""

    def check(self) -> None:
        """Check that every lock is still held; call it right before a commit.

        :raises TableBusyError: if a lock is lost because its connection is gone
        """


def by_lock(resolved: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return table names by lock, in the order in which every sync takes the locks.

    :param resolved: pairs of a lock's identity and its table's name
    :raises ConfigurationError: when two names refer to one table
    """
    names: dict[str, str] = {}
    for key, name in sorted(resolved):
        if key in names:
            raise ConfigurationError(
                f"{names[key]!r} and {name!r} are one table of the target, which cannot be equal to two sources. Leave one of"
                " them out; or, if each has a window, or a mode that deletes nothing, set single_transaction to false."
            )
        names[key] = name
    return names


def busy(name: str, timeout: float) -> LockTimeoutError:
    """Return the error for a lock that another sync holds for longer than ``timeout`` seconds."""
    waited = f"{timeout:g} second{'' if timeout == 1 else 's'}"
    return LockTimeoutError(f"Another sync of table {name!r} has been at work for more than {waited}. Try again later.")


def lost(names: Iterable[str], reason: str) -> TableBusyError:
    """Return the error for lost locks: another sync may be writing to the tables."""
    tables = ", ".join(map(repr, names))
    return TableBusyError(f"The lock of table {tables} was lost during the sync: {reason}.", NOTHING_CHANGED, "Try again.")
