"""Hold PostgreSQL's advisory locks in one open transaction.

The locks belong to a transaction, not a session, since a pooler in transaction mode gives the session, with its locks, to another
client after every transaction. An open transaction without a snapshot does not hold back VACUUM.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from time import monotonic
from typing import Any

from sqlalchemy import Connection

from airflow_provider_sync.databases.locks import TableLock, busy, lost
from airflow_provider_sync.databases.postgresql.errors import DRIVER_ERRORS, LOCK_NOT_AVAILABLE, error_message, sqlstate

_IN_TRANSACTION = 2
"""libpq's transaction state: in a transaction that has not failed."""

_POOLER_LIMITS = re.compile(r"idle transaction timeout|query timeout|server lifetime")
"""Names of pgbouncer's time limits in its messages; a session cannot change them."""

_TIME_LIMITS = ("idle_in_transaction_session_timeout", "transaction_timeout", "statement_timeout")
"""Settings that would end a transaction that only holds a lock."""


@contextmanager
def hold_locks(connection: Connection, names: Mapping[str, str], *, timeout: float) -> Iterator[TableLock]:
    """Hold an advisory lock for each key of ``names``, taken in their order.

    :param connection: a connection that is used for nothing else, outside any transaction
    :param names: names of the tables by the identity of their lock
    :param timeout: seconds to wait for all locks together
    :raises LockTimeoutError: when another sync holds one of the locks for longer
    """
    deadline = monotonic() + timeout
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        cursor.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
        try:
            # Select from pg_settings, since only newer servers have all of these settings.
            listed = ", ".join(f"'{name}'" for name in _TIME_LIMITS)
            cursor.execute(f"SELECT set_config(name, '0', true) FROM pg_settings WHERE name IN ({listed})")
            wanted = names if len(names) < 2 or not _hold_at_once(cursor, names) else {}
            for key, name in wanted.items():
                # 0 would mean no limit.
                cursor.execute(f"SET LOCAL lock_timeout = {max(1, round((deadline - monotonic()) * 1000))}")
                try:
                    cursor.execute(f"SELECT pg_advisory_xact_lock({_number(key)})")
                except DRIVER_ERRORS as error:
                    if sqlstate(error) != LOCK_NOT_AVAILABLE:
                        raise
                    raise busy(name, timeout) from error
            yield _HeldLocks(driver, tuple(names.values()))
        finally:
            try:
                cursor.execute("ROLLBACK")
            except DRIVER_ERRORS:
                # A lost session has freed its locks, and cannot undo commits of other connections.
                connection.invalidate()


def _hold_at_once(cursor: Any, keys: Iterable[str]) -> bool:
    """Take all locks with one statement if they are free; otherwise take none, so that the caller can wait in order."""
    cursor.execute("SAVEPOINT sync_locks")
    cursor.execute(f"SELECT {' AND '.join(f'pg_try_advisory_xact_lock({_number(key)})' for key in keys)}")
    ((taken,),) = cursor.fetchall()
    if not taken:
        cursor.execute("ROLLBACK TO SAVEPOINT sync_locks")
    return bool(taken)


class _HeldLocks:
    def __init__(self, driver: Any, names: tuple[str, ...]) -> None:
        self._driver = driver
        self._names = names

    def check(self) -> None:
        """Query the server over the connection that holds the locks."""
        try:
            with self._driver.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DRIVER_ERRORS as error:
            message = error_message(error)
            if limit := _POOLER_LIMITS.search(message):
                message += (
                    f". Raise {limit[0].replace(' ', '_')} of the pooler before PostgreSQL, which is too short for this sync"
                )
            raise lost(self._names, message) from error
        if self._driver.info.transaction_status != _IN_TRANSACTION:
            raise lost(self._names, "its transaction has ended")


def _number(key: str) -> int:
    digest = sha256(f"airflow-provider-sync {key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
