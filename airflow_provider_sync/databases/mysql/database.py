"""MySQL 8 and 9 and MariaDB: connections and transactions. The components are in the other modules.

Differences between the two servers, and between their versions, are detected by queries to the server.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import partial

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.component import component
from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.databases.mysql import binlog, local_infile
from airflow_provider_sync.databases.mysql.cancel import kill_query
from airflow_provider_sync.databases.mysql.catalog import MySQLCatalog
from airflow_provider_sync.databases.mysql.ddl import MySQLDdl
from airflow_provider_sync.databases.mysql.detail_statements import MySQLDetailStatements
from airflow_provider_sync.databases.mysql.digests import MySQLDigests
from airflow_provider_sync.databases.mysql.errors import (
    BROKEN_CONSTRAINTS,
    DUPLICATE,
    error_number,
    translated,
)
from airflow_provider_sync.databases.mysql.foreign_keys import MySQLForeignKeys
from airflow_provider_sync.databases.mysql.identities import MySQLIdentityColumns
from airflow_provider_sync.databases.mysql.load import MySQLLoader
from airflow_provider_sync.databases.mysql.locks import hold_locks
from airflow_provider_sync.databases.mysql.merge_statements import MySQLMergeStatements
from airflow_provider_sync.databases.mysql.privileges import MySQLPrivileges
from airflow_provider_sync.databases.mysql.queries import MySQLQueries
from airflow_provider_sync.databases.mysql.read import MySQLReader
from airflow_provider_sync.databases.mysql.server_facts import Server
from airflow_provider_sync.databases.mysql.session import quote_by_backticks, set_session
from airflow_provider_sync.databases.mysql.version1 import MySQLVersion1
from airflow_provider_sync.exceptions import ConfigurationError

_DRIVERS = ("mysqldb", "pymysql")

_NOT_COMPLETE_ROLLBACK = 1196
_IN_PART = "sync_rolled_back_in_part"


class MySQLDatabase(Database):
    """A MySQL or MariaDB server, reached through mysqlclient or pymysql."""

    catalog = component(MySQLCatalog)
    ddl = component(MySQLDdl)
    reader = component(MySQLReader)
    queries = component(MySQLQueries)
    loader = component(MySQLLoader)
    details = component(MySQLDetailStatements)
    digests = component(MySQLDigests)
    statements = component(MySQLMergeStatements)
    foreign_keys = component(MySQLForeignKeys)
    identities = component(MySQLIdentityColumns)
    privileges = component(MySQLPrivileges)
    version1 = component(MySQLVersion1)

    def __init__(self, engine: Engine) -> None:
        if engine.dialect.driver not in _DRIVERS:
            raise ConfigurationError(
                f"The driver {engine.dialect.driver!r} is not supported. Use mysqlclient (mysql+mysqldb://) or pymysql (mysql+pymysql://)."
            )
        super().__init__(engine)
        quote_by_backticks(engine)
        local_infile.confine(engine)
        self.server = Server()

    # -- connections -------------------------------------------------------------------------------------------------

    def open_connection(self, *, loading: bool) -> Connection:
        """Open a connection; only one for loading can send a file, and only the one with the rows."""
        with local_infile.loading() if loading else nullcontext():
            return super().open_connection(loading=loading)

    def prepare_session(self, connection: Connection) -> None:
        """Apply the settings of :mod:`.session`."""
        # Use the driver's method, so that it decodes results accordingly.
        connection.connection.driver_connection.set_character_set("utf8mb4")  # type: ignore[union-attr]  # just connected
        connection.exec_driver_sql(set_session(self.session, mariadb=self.server.is_mariadb(connection)))
        if self.server.logs_statements(connection):
            binlog.log_rows(connection)

    def check_writable(self) -> None:
        """Begin a transaction for writing, which a read-only server refuses to users who may not write."""
        with self.translate_errors(), self.connect() as connection:
            connection.exec_driver_sql("START TRANSACTION READ WRITE")
            connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read-only transaction that sees one consistent state of the database."""
        with self.connect() as connection:
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            connection.exec_driver_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            try:
                yield connection
            finally:
                with suppress(SQLAlchemyError):
                    connection.exec_driver_sql("ROLLBACK")

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Begin a transaction for writing; commit it at the end, roll back on any exception.

        It is READ COMMITTED, except on servers that log statements: see :mod:`.binlog`.
        """
        if not (self.server.logs_statements(connection) and binlog.logs_statements(connection)):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql("START TRANSACTION")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            # The server rolls back a lost connection; raise the first error.
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql("ROLLBACK")
                warnings = connection.exec_driver_sql("SHOW WARNINGS").all()
                connection.info[_IN_PART] = any(code == _NOT_COMPLETE_ROLLBACK for _, code, _ in warnings)
            raise

    def rolled_back_in_part(self, connection: Connection) -> bool:
        """Return what the server warned of when it rolled back."""
        return not connection.invalidated and bool(connection.info.pop(_IN_PART, False))

    def cancel_request(self, connection: Connection) -> Callable[[], bool]:
        """Return a function that kills the query over a separate connection."""
        thread = int(connection.connection.driver_connection.thread_id())  # type: ignore[union-attr]  # just connected
        return partial(kill_query, self.engine, thread)

    @contextmanager
    def take_locks(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold user locks (GET_LOCK) for the tables over a separate connection."""
        with self.connect() as connection:
            places = self.catalog.places_of(connection, names)
            locks = by_lock((f"{schema}\0{table}", name) for (schema, table), name in zip(places, names, strict=True))
            with hold_locks(connection, locks, timeout=timeout) as lock:
                yield lock

    # -- errors ------------------------------------------------------------------------------------------------------

    def translate_errors(self) -> AbstractContextManager[None]:
        """Convert the driver's errors to errors of this package."""
        return translated()

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether a driver's error reports a duplicate value of a unique key."""
        return error_number(error) == DUPLICATE

    def is_constraint(self, error: BaseException) -> bool:
        """Whether a driver's error reports a violated key, NOT NULL, foreign key or CHECK."""
        return error_number(error) in BROKEN_CONSTRAINTS
