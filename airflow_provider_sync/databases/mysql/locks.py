"""Hold user locks (GET_LOCK) of MySQL and MariaDB, any number of them over one connection."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from hashlib import sha256
from math import ceil
from time import monotonic

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.locks import TableLock, busy, lost
from airflow_provider_sync.databases.mysql.errors import DATABASE_ERRORS, error_text


@contextmanager
def hold_locks(connection: Connection, names: Mapping[str, str], *, timeout: float) -> Iterator[TableLock]:
    """Hold a user lock for each key of ``names``, taken in their order.

    :param connection: a connection that is used for nothing else
    :param names: names of the tables by the identity of their lock
    :param timeout: seconds to wait for all locks together
    :raises LockTimeoutError: when another sync holds one of the locks for longer
    """
    deadline = monotonic() + timeout
    held: list[str] = []
    wanted = {lock_name(key): name for key, name in names.items()}
    try:
        if len(wanted) > 1 and _hold_at_once(connection, wanted):
            held += wanted
        for lock, name in wanted.items():
            if lock in held:
                continue
            seconds = ceil(max(deadline - monotonic(), 0))
            if connection.exec_driver_sql(f"SELECT GET_LOCK('{lock}', {seconds})").scalar() != 1:
                raise busy(name, timeout)
            held.append(lock)
        yield _HeldLocks(connection, tuple(names.values()), held)
    finally:
        # A lost session has freed its locks.
        with suppress(SQLAlchemyError):
            if held:
                connection.exec_driver_sql("SELECT RELEASE_ALL_LOCKS()")


def _hold_at_once(connection: Connection, locks: Iterable[str]) -> bool:
    """Take all locks with one statement if they are free; otherwise take none, so that the caller can wait in order."""
    taken = " AND ".join(f"GET_LOCK('{lock}', 0)" for lock in locks)
    if connection.exec_driver_sql(f"SELECT {taken}").scalar() == 1:
        return True
    connection.exec_driver_sql("SELECT RELEASE_ALL_LOCKS()")
    return False


class _HeldLocks:
    def __init__(self, connection: Connection, names: tuple[str, ...], held: list[str]) -> None:
        self._connection = connection
        self._names = names
        self._held = held

    def check(self) -> None:
        """Query whether the connection still holds all locks."""
        mine = " AND ".join(f"IS_USED_LOCK('{lock}') <=> CONNECTION_ID()" for lock in self._held) or "1"
        try:
            held = self._connection.exec_driver_sql(f"SELECT {mine}").scalar()
        except DATABASE_ERRORS as error:
            raise lost(self._names, error_text(error)) from error
        if not held:
            raise lost(self._names, "its connection ended")


def lock_name(key: str) -> str:
    """Return the name of a lock, a digest: lock names have at most 64 characters, which a table name alone may have."""
    return f"sync_{sha256(key.encode()).hexdigest()[:40]}"
