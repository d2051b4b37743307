"""SQLite 3.37 and newer: connections, transactions and errors. The components are in the other modules."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.component import component
from airflow_provider_sync.databases.contract.identities import IdentityColumns
from airflow_provider_sync.databases.file_access import check_file_writable
from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.databases.sqlite.catalog import SQLiteCatalog, place_of
from airflow_provider_sync.databases.sqlite.ddl import SQLiteDdl
from airflow_provider_sync.databases.sqlite.detail_statements import SQLiteDetailStatements
from airflow_provider_sync.databases.sqlite.digests import SQLiteDigests
from airflow_provider_sync.databases.sqlite.foreign_keys import SQLiteForeignKeys
from airflow_provider_sync.databases.sqlite.load import SQLiteLoader
from airflow_provider_sync.databases.sqlite.locks import hold_locks, lock_path
from airflow_provider_sync.databases.sqlite.merge_statements import SQLiteMergeStatements
from airflow_provider_sync.databases.sqlite.queries import SQLiteQueries
from airflow_provider_sync.databases.sqlite.read import SQLiteReader
from airflow_provider_sync.databases.sqlite.session import decode, driver_of, roll_back, translate, write_transaction
from airflow_provider_sync.databases.sqlite.text import register_functions
from airflow_provider_sync.databases.sqlite.version1 import SQLiteVersion1
from airflow_provider_sync.exceptions import ReadOnlyError

BUSY_SECONDS = 60
"""Seconds that a statement waits for another process that writes to the database."""

_PREPARED = "sync_functions"
"""Key in ``Connection.info`` that marks a connection with the functions for version 2."""


class SQLiteDatabase(Database):
    """A database file, or an in-memory database."""

    sees_commits = False

    catalog = component(SQLiteCatalog)
    ddl = component(SQLiteDdl)
    reader = component(SQLiteReader)
    queries = component(SQLiteQueries)
    loader = component(SQLiteLoader)
    details = component(SQLiteDetailStatements)
    digests = component(SQLiteDigests)
    statements = component(SQLiteMergeStatements)
    foreign_keys = component(SQLiteForeignKeys)
    identities = component(IdentityColumns)
    version1 = component(SQLiteVersion1)

    # -- connections -------------------------------------------------------------------------------------------------

    def prepare_session(self, connection: Connection) -> None:
        """Make the connection wait for other writers, and read text that is not UTF-8 as bytes."""
        seconds = min(BUSY_SECONDS, self.session.lock_seconds or BUSY_SECONDS)
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {seconds * 1000}")
        driver = driver_of(connection)
        driver.text_factory = decode
        if not connection.info.get(_PREPARED):
            register_functions(driver)
            connection.info[_PREPARED] = True

    def check_writable(self) -> None:
        """Check the options of the URL, the file and its folder."""
        query = self.engine.url.query
        if query.get("mode") == "ro" or query.get("immutable") not in (None, "0"):
            raise ReadOnlyError("SQLite: the URL opens the file for reading only.", "Remove mode and immutable from it.")
        with self.connect() as connection:
            file = connection.exec_driver_sql("SELECT file FROM pragma_database_list WHERE name = 'main'").scalar()
        if file:
            check_file_writable(Path(file))

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read transaction; the first read, not BEGIN, determines the state that it sees."""
        with self.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                connection.exec_driver_sql("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                yield connection
            finally:
                roll_back(connection)

    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Begin a transaction with the write lock; see :func:`.session.write_transaction`."""
        return write_transaction(connection)

    def cancel_request(self, connection: Connection) -> Callable[[], bool]:
        """Return a function that interrupts the statement; one that waits for a lock waits for up to :data:`BUSY_SECONDS`."""
        driver = driver_of(connection)

        def ask() -> bool:
            # Ignore the error of a connection that was closed in between.
            with suppress(sqlite3.ProgrammingError):
                driver.interrupt()
            return True

        return ask

    @contextmanager
    def take_locks(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold lock files next to the database file; an in-memory database has no other users."""
        with self.connect() as connection:
            locks = by_lock((str(lock_path(connection, *place_of(connection, name))), name) for name in names)
        with hold_locks(locks, timeout=timeout) as lock:
            yield lock

    # -- errors ------------------------------------------------------------------------------------------------------

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Convert SQLite's errors to errors of this package; only locks and replaced files are transient."""
        try:
            yield
        except DBAPIError as error:
            raise translate(error.orig or error).without_subject() from error
        except sqlite3.Error as error:
            raise translate(error).without_subject() from error

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether a driver's error reports a duplicate value of a unique key."""
        found = getattr(error, "orig", None) or error
        return getattr(found, "sqlite_errorcode", None) in (
            sqlite3.SQLITE_CONSTRAINT_UNIQUE,
            sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        )

    def is_constraint(self, error: BaseException) -> bool:
        """Whether the error code reports a violated constraint."""
        found = getattr(error, "orig", None) or error
        return (getattr(found, "sqlite_errorcode", None) or 0) & 0xFF == sqlite3.SQLITE_CONSTRAINT
