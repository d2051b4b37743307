"""DuckDB 2.0 and newer: connections, transactions and errors. The components are in the other modules."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import duckdb
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.component import component
from airflow_provider_sync.databases.duckdb import errors
from airflow_provider_sync.databases.duckdb.catalog import DuckDBCatalog, place_of
from airflow_provider_sync.databases.duckdb.ddl import DuckDBDdl
from airflow_provider_sync.databases.duckdb.detail_statements import DuckDBDetailStatements
from airflow_provider_sync.databases.duckdb.dialect import MEMORY
from airflow_provider_sync.databases.duckdb.digests import DuckDBDigests
from airflow_provider_sync.databases.duckdb.foreign_keys import DuckDBForeignKeys
from airflow_provider_sync.databases.duckdb.identities import DuckDBIdentityColumns
from airflow_provider_sync.databases.duckdb.load import DuckDBLoader
from airflow_provider_sync.databases.duckdb.locks import hold_locks
from airflow_provider_sync.databases.duckdb.merge_statements import DuckDBMergeStatements
from airflow_provider_sync.databases.duckdb.queries import DuckDBQueries
from airflow_provider_sync.databases.duckdb.read import DuckDBReader
from airflow_provider_sync.databases.duckdb.session import (
    driver_of,
    file_state,
    refuse_replaced_functions,
    roll_back,
    write_transaction,
)
from airflow_provider_sync.databases.duckdb.version1 import DuckDBVersion1
from airflow_provider_sync.databases.file_access import check_file_writable
from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.exceptions import ReadOnlyError, TableError

_FILE = "SELECT path FROM duckdb_databases() WHERE database_name = current_database()"
_OPENED = "SELECT path, readonly FROM duckdb_databases() WHERE database_name = current_database()"


class DuckDBDatabase(Database):
    """A database file, or an in-memory database."""

    sees_commits = False

    _checked: object = None
    """State of the file when its macros were last checked."""

    catalog = component(DuckDBCatalog)
    ddl = component(DuckDBDdl)
    reader = component(DuckDBReader)
    queries = component(DuckDBQueries)
    details = component(DuckDBDetailStatements)
    loader = component(DuckDBLoader)
    digests = component(DuckDBDigests)
    statements = component(DuckDBMergeStatements)
    foreign_keys = component(DuckDBForeignKeys)
    identities = component(DuckDBIdentityColumns)
    version1 = component(DuckDBVersion1)

    # -- connections -------------------------------------------------------------------------------------------------

    def prepare_session(self, connection: Connection) -> None:
        """Write times in UTC, also inside of lists and structures, and no progress bar to stdout.

        Insertion order is not preserved, which saves a quarter of a load's time; statements that need an order have an ORDER BY.
        Row groups are written to the file one by one, instead of five per thread, which saves 70 MB without taking longer.
        """
        connection.exec_driver_sql("SET TimeZone = 'UTC'")
        connection.exec_driver_sql("SET enable_progress_bar = false")
        connection.exec_driver_sql("SET preserve_insertion_order = false")
        connection.exec_driver_sql("SET write_buffer_row_group_count = 1")
        # Check only when the file has changed: it takes some milliseconds. An in-memory database has only this process's macros.
        if (state := file_state(self.engine.url.database)) != self._checked:
            refuse_replaced_functions(connection)
            self._checked = state

    def check_writable(self) -> None:
        """Check the folder of the file, and the URL: DuckDB has opened the file for writing unless ``read_only`` is set."""
        with self.connect() as connection:
            file, read_only = connection.exec_driver_sql(_OPENED).one()
        if read_only:
            raise ReadOnlyError("DuckDB: the URL opens the file for reading only.", errors.REMOVE_READ_ONLY)
        if file:
            check_file_writable(Path(file))

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read-only transaction; the first read determines the state that it sees."""
        with self.connect() as connection:
            connection.exec_driver_sql("BEGIN TRANSACTION READ ONLY")
            try:
                connection.exec_driver_sql("SELECT count(*) FROM duckdb_tables()").all()
                yield connection
            finally:
                roll_back(driver_of(connection))

    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Begin a transaction; see :func:`.session.write_transaction`."""
        return write_transaction(connection)

    @contextmanager
    def savepoint(self, connection: Connection) -> Iterator[None]:
        """Make a failed statement end the transaction, since DuckDB has no savepoints.

        The error is converted to one that callers do not handle, so that they do not retry in another way.
        """
        try:
            with self.translate_errors():
                yield
        except TableError as error:
            if error.retryable or error.__cause__ is None:
                raise
            final = TableError(*error.args)
            final.lacks_subject = error.lacks_subject
            raise final from error.__cause__

    def cancel_request(self, connection: Connection) -> Callable[[], bool]:
        """Return a function that interrupts the statement."""
        driver = driver_of(connection)

        def ask() -> bool:
            # Ignore the error of a connection that was closed in between.
            with suppress(duckdb.Error):
                driver.interrupt()
            return True

        return ask

    @contextmanager
    def take_locks(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold locks of this process, and a connection, which keeps other processes from opening the file."""
        with self.connect() as connection:
            file = connection.exec_driver_sql(_FILE).scalar() or MEMORY
            places = [place_of(connection, name) for name in names]
            locks = by_lock(
                (f"{file}\0{schema}\0{table}".lower(), name) for name, (schema, table) in zip(names, places, strict=True)
            )
            with hold_locks({} if file == MEMORY else locks, timeout=timeout) as lock:
                yield lock

    # -- errors ------------------------------------------------------------------------------------------------------

    def translate_errors(self) -> AbstractContextManager[None]:
        """Convert DuckDB's errors to errors of this package; see :mod:`.errors`."""
        return errors.translated()

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether a driver's error reports a duplicate value of a unique key."""
        return errors.is_duplicate(error)

    def is_constraint(self, error: BaseException) -> bool:
        """Whether a driver's error reports a violated constraint."""
        return errors.is_constraint(error)

    def is_orphan(self, error: BaseException) -> bool:
        """Whether a driver's error reports a violated foreign key."""
        return errors.is_orphan(error)
