"""PostgreSQL through psycopg 3 or psycopg2: connections and transactions. The components are in the other modules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import cast

from sqlalchemy import Connection, Engine

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.contract.component import component
from airflow_provider_sync.databases.held_snapshot import HeldSnapshot
from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.databases.postgresql.cancel import cancel_request, never_block
from airflow_provider_sync.databases.postgresql.catalog import PostgreSQLCatalog
from airflow_provider_sync.databases.postgresql.ddl import PostgreSQLDdl
from airflow_provider_sync.databases.postgresql.digests import PostgreSQLDigests
from airflow_provider_sync.databases.postgresql.errors import (
    EXCLUSION_VIOLATION,
    FOREIGN_KEY_VIOLATION,
    UNIQUE_VIOLATION,
    sqlstate,
    translated,
)
from airflow_provider_sync.databases.postgresql.foreign_keys import PostgreSQLForeignKeys
from airflow_provider_sync.databases.postgresql.identities import PostgreSQLIdentityColumns
from airflow_provider_sync.databases.postgresql.load import PostgreSQLLoader
from airflow_provider_sync.databases.postgresql.locks import hold_locks
from airflow_provider_sync.databases.postgresql.merge_statements import PostgreSQLMergeStatements
from airflow_provider_sync.databases.postgresql.partitions import refuse_partitions
from airflow_provider_sync.databases.postgresql.pooler import Pooler, behind_pooler, keeps_sessions
from airflow_provider_sync.databases.postgresql.privileges import PostgreSQLPrivileges
from airflow_provider_sync.databases.postgresql.queries import PostgreSQLQueries
from airflow_provider_sync.databases.postgresql.read import FAILED, IDLE, PostgreSQLReader
from airflow_provider_sync.databases.postgresql.session import (
    driver_of,
    read_as_utf8,
    set_for_pooler,
    set_session,
    undoubled,
)
from airflow_provider_sync.databases.postgresql.text import is_null
from airflow_provider_sync.databases.postgresql.version1 import PostgreSQLVersion1
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ConfigurationError, ReadOnlyError, TableError
from airflow_provider_sync.printable import reason

_DRIVERS = ("psycopg", "psycopg2")


class PostgreSQLDatabase(Database):
    """PostgreSQL 13 and newer.

    **Hashes.** Values are written as MySQL would, so that equal content has an equal version 1 hash on PostgreSQL, MySQL
    and MariaDB, if both sides have the same columns in the same order and

    - timestamps have the same type and the same number of digits of a second (PostgreSQL has 6 by default, MySQL 0);
    - decimals have a scale: ``numeric`` alone keeps the digits of each value;
    - single precision numbers agree in 6 digits, which is all that MySQL shows;
    - JSON is stored as text on one side: MySQL and ``jsonb`` each rewrite it in their own way;
    - MySQL sorts text keys by bytes (``utf8mb4_bin``), as this class does. It ignores the column's collation, which depends
      on the machine's libraries.

    **Foreign keys** are switched off by ``session_replication_role = replica``, which also switches off ordinary triggers,
    rules, and the checks of deferrable unique keys. A merge guarantees that triggers fire and unique keys hold, so it uses
    this setting only if some table of the merge has foreign keys, and none has such a trigger, rule or constraint.
    Otherwise, or if the user lacks the privilege, foreign keys stay on: deferrable ones are checked at the commit, and
    most others are satisfied by writing parents before children. A violation is an error that names the constraint and the
    missing grant.
    """

    catalog = component(PostgreSQLCatalog)
    ddl = component(PostgreSQLDdl)
    reader = component(PostgreSQLReader)
    queries = component(PostgreSQLQueries)
    loader = component(PostgreSQLLoader)
    digests = component(PostgreSQLDigests)
    statements = component(PostgreSQLMergeStatements)
    foreign_keys = component(PostgreSQLForeignKeys)
    identities = component(PostgreSQLIdentityColumns)
    privileges = component(PostgreSQLPrivileges)
    version1 = component(PostgreSQLVersion1)

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        if engine.dialect.driver not in _DRIVERS:
            raise ConfigurationError(
                f"PostgreSQL driver {engine.dialect.driver!r} is not supported. Use postgresql+psycopg:// or postgresql+psycopg2://."
            )
        read_as_utf8(engine)
        self._pooler = Pooler()

    # -- connections -------------------------------------------------------------------------------------------------

    def open_connection(self, *, loading: bool) -> Connection:
        """Open a connection; SQLAlchemy reads the server's version over the first one.

        :raises ConfigurationError: with the server's answer, if that is not a PostgreSQL version
        """
        try:
            return super().open_connection(loading=loading)
        except AssertionError as error:
            raise ConfigurationError(f"The server does not name its version as PostgreSQL does: {reason(error)}.") from error

    def prepare_session(self, connection: Connection) -> None:
        """Apply the settings of :mod:`.session`."""
        never_block(driver_of(connection))
        if self._pooler.found is None:
            self._pooler.found = behind_pooler(connection)
        if self._pooler.found and not self._pooler.keeps_sessions:
            set_for_pooler(connection)
        else:
            set_session(connection, self.session)

    def require_session(self) -> None:
        """Check that no pooler changes the server connection after each transaction.

        :raises ConfigurationError: if a pooler does
        """
        with self.connect() as connection:
            self._require_session(connection)

    def _require_session(self, connection: Connection) -> None:
        if not self._pooler.found or self._pooler.keeps_sessions:
            return
        if not keeps_sessions(self.engine, connection):
            raise ConfigurationError(
                "The connection to PostgreSQL goes through a pooler in transaction mode (such as pgbouncer), in which temporary"
                " tables and settings of a session get lost.",
                NOTHING_CHANGED,
                "Connect the target to the server itself, or to a pool in session mode.",
            )
        self._pooler.keeps_sessions = True

    def check_writable(self) -> None:
        """Ask whether the server is a standby; sessions override the default of the role (:mod:`.session`)."""
        with self.connect() as connection:
            if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar():
                raise ReadOnlyError("PostgreSQL: the server is a standby, which can only be read.", "Connect to the primary.")

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read-only REPEATABLE READ transaction; if the transaction fails, no writes are lost."""
        mode = "ISOLATION LEVEL REPEATABLE READ READ ONLY"
        with self.connect() as connection, self._in_transaction(connection, mode, writes=False):
            yield connection

    @contextmanager
    def held_snapshot(self, names: Collection[str] = (), queries: Collection[str] = ()) -> Iterator[HeldSnapshot]:
        """Export a snapshot, which any number of transactions can import while this one is open; lock nothing.

        :meth:`.PostgreSQLReader.check_snapshot` detects a table that was replaced after the export.
        """
        with self.snapshot() as connection:
            yield _ExportedSnapshot(str(connection.exec_driver_sql("SELECT pg_export_snapshot()").scalar_one()))

    @contextmanager
    def importing(self, snapshot: str) -> Iterator[Connection]:
        """Open a connection inside a read-only transaction that sees an exported snapshot."""
        # Import the snapshot before any query of the transaction, including the settings for a pooler.
        mode = f"ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT '{snapshot}'"
        with self.connect() as connection, self._in_transaction(connection, mode):
            yield connection

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Begin a READ COMMITTED transaction in which deferrable constraints are checked at the commit."""
        with self._in_transaction(connection, "ISOLATION LEVEL READ COMMITTED READ WRITE"):
            connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
            yield

    def run_deferred(self, connection: Connection) -> None:
        """Fire deferred constraint triggers, and check all constraints."""
        with self.translate_errors():
            connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")

    @contextmanager
    def _in_transaction(self, connection: Connection, mode: str, *, writes: bool = True) -> Iterator[None]:
        """Run the block inside a transaction.

        :param writes: whether to raise an error if a statement failed but the block ended normally
        """
        with self.translate_errors():
            connection.exec_driver_sql(f"BEGIN {mode}")
            driver = driver_of(connection)
            try:
                if self._pooler.found and not self._pooler.keeps_sessions:
                    set_session(connection, self.session, local=True)
                yield
                if writes and driver.info.transaction_status == FAILED:
                    # COMMIT would roll back silently.
                    raise TableError(
                        "A statement of the transaction failed, and the error was passed over.", NOTHING_CHANGED
                    ).without_subject()
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                # Use the driver: SQLAlchemy would open another connection if this one is lost.
                if not driver.closed and driver.info.transaction_status != IDLE:
                    with driver.cursor() as cursor:
                        cursor.execute("ROLLBACK")
                raise

    def cancel_request(self, connection: Connection) -> Callable[[], bool]:
        """Cancel through the driver, which opens a separate connection."""
        return cancel_request(driver_of(connection))

    @contextmanager
    def take_locks(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold advisory locks for the tables' schemas and names, over one separate connection.

        :raises ConfigurationError: also when one table is a partition of another
        """
        with self.connect() as connection:
            self._require_session(connection)
            places = self.catalog.places_of(connection, names)
            locks = by_lock((f"{schema}.{table}", name) for (schema, table), name in zip(places, names, strict=True))
            if len(locks) > 1:
                quoted = (undoubled(".".join(map(self.quote, place))) for place in places)
                refuse_partitions(connection, dict(zip(quoted, names, strict=True)))
            with hold_locks(connection, locks, timeout=timeout) as lock:
                yield lock

    # -- errors ------------------------------------------------------------------------------------------------------

    def translate_errors(self) -> AbstractContextManager[None]:
        """Translate by SQLSTATE; the message is the server's primary message, without its detail."""
        return translated()

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether a driver's error reports a duplicate value of a unique key."""
        return sqlstate(error) in (UNIQUE_VIOLATION, EXCLUSION_VIOLATION)

    def is_constraint(self, error: BaseException) -> bool:
        """Whether the SQLSTATE is of the class "integrity constraint violation"."""
        return (sqlstate(error) or "").startswith("23")

    def is_orphan(self, error: BaseException) -> bool:
        """Whether a driver's error reports a foreign key without a parent row."""
        return sqlstate(error) == FOREIGN_KEY_VIOLATION

    # -- names -------------------------------------------------------------------------------------------------------

    def is_null(self, value: str) -> str:
        """Return a condition that is false for a composite value, even if all of its fields are NULL."""
        return is_null(value)


class _ExportedSnapshot(HeldSnapshot):
    """A snapshot that PostgreSQL exported under a name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def reading(self, database: Database) -> AbstractContextManager[Connection]:
        """Open a new transaction that sees the snapshot."""
        return cast("PostgreSQLDatabase", database).importing(self._name)
