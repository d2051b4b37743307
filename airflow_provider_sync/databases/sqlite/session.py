"""Functions for every use of an SQLite connection: access the driver, run transactions, decode text, translate errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import LockTimeoutError, TableBusyError, TableError

INSERT_INTO = "INSERT OR ABORT INTO"
"""Start of an INSERT that fails on a conflict, whatever a constraint's ``ON CONFLICT`` clause."""

_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_PRIMARY_CODE = 0xFF
"""Mask for the primary result code in an extended one."""


def driver_of(connection: Connection) -> sqlite3.Connection:
    """Return the driver's own connection."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


@contextmanager
def write_transaction(connection: Connection) -> Iterator[None]:
    """Begin a transaction with the write lock, since SQLite may refuse the lock to a transaction that has already read.

    Without WAL mode, SQLite waits for readers when its page cache is full, up to the busy timeout for each page that it would
    write early. It then keeps the page in memory. Because of one reader, a load took hours, so only BEGIN and COMMIT wait.
    """
    milliseconds = connection.exec_driver_sql("PRAGMA busy_timeout").scalar_one()
    connection.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {milliseconds}")
        connection.exec_driver_sql("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """Roll back the transaction, if one is still open: some errors, such as a full disk, have already ended it."""
    if driver_of(connection).in_transaction:
        connection.exec_driver_sql("ROLLBACK")


def decode(text: bytes) -> str | bytes:
    """Decode UTF-8; return the bytes unchanged if they are not UTF-8."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


_ADVICE = {
    sqlite3.SQLITE_FULL: ". Free some space on the disk of the database and of temporary files, or choose another one.",
    sqlite3.SQLITE_READONLY: ". Give the user of this process access to the file and its folder, and mount the disk for writing.",
    sqlite3.SQLITE_IOERR: ". Check the disk, and the space that is left on it.",
    sqlite3.SQLITE_CORRUPT: ". The file is damaged: restore it from a backup.",
    sqlite3.SQLITE_NOTADB: ". The file is not a database of SQLite; check its path.",
}


def translate(error: BaseException) -> TableError:
    """Convert an error of SQLite to an error of this package; only locks and replaced files are retryable."""
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and code & _PRIMARY_CODE in _BUSY:
        kind = LockTimeoutError if code & _PRIMARY_CODE == sqlite3.SQLITE_BUSY else TableBusyError
        # A commit waits for readers, too, unless the database is in WAL mode.
        return kind(f"SQLite: {error}. Another process is reading or writing the database; try again when it has ended.")
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return TableBusyError(
            "SQLite: the file was replaced, moved or deleted while it was open. Nothing was written; try again."
        )
    if code is not None and code & _PRIMARY_CODE == sqlite3.SQLITE_CANTOPEN:
        advice = "Does its folder exist, and may this user write there? sqlite:///x.db is relative, sqlite:////srv/x.db is not."
        return TableError(f"SQLite: {error}. {advice}")
    advice = "" if code is None else _ADVICE.get(code & _PRIMARY_CODE, "")
    return TableError(f"SQLite: {error}{advice}")
