"""The contract of a database engine: everything that differs between databases.

One class per engine derives from :class:`Database`, which opens connections and transactions. Its components, abstract classes
in :mod:`.contract`, do the rest. No other package asks which engine it uses.

Connections are always in autocommit mode, and transactions are explicit (:meth:`Database.snapshot`,
:meth:`Database.transaction`), so that it is clear which statements run inside one: on MySQL any DDL commits.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from copy import copy
from functools import cached_property
from itertools import count
from typing import ClassVar, Self

import msgspec
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.cancellation import current_cancellation
from airflow_provider_sync.databases.connection_socket import ConnectionSocket, socket_of
from airflow_provider_sync.databases.contract.catalog import Catalog
from airflow_provider_sync.databases.contract.component import component
from airflow_provider_sync.databases.contract.ddl import Ddl
from airflow_provider_sync.databases.contract.detail_statements import DetailStatements
from airflow_provider_sync.databases.contract.digests import Digests
from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.contract.identities import IdentityColumns
from airflow_provider_sync.databases.contract.load import Loader
from airflow_provider_sync.databases.contract.merge_statements import MergeStatements
from airflow_provider_sync.databases.contract.privileges import Privileges
from airflow_provider_sync.databases.contract.queries import Queries
from airflow_provider_sync.databases.contract.read import Reader
from airflow_provider_sync.databases.contract.version1 import Version1
from airflow_provider_sync.databases.held_snapshot import HeldSnapshot, SharedConnection
from airflow_provider_sync.databases.keep_alive import keep_alive
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.opening_limit import limited_opening, name_of
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.session_rules import SessionRules
from airflow_provider_sync.escalation import Canceller, Watch

_SOCKET = "sync_socket"
"""Key in ``Connection.info`` of the :class:`.ConnectionSocket`."""

_savepoints = count(1)


def _close(connection: Connection) -> None:
    """Close a connection; ignore the error if the server has already ended it, since it cannot undo a commit."""
    try:
        connection.close()
    except SQLAlchemyError:
        if not connection.closed:
            connection.invalidate()
            connection.close()


class Database(ABC):
    """One database, reached through an SQLAlchemy engine.

    :param engine: SQLAlchemy engine of the database; the caller disposes of it
    """

    session: SessionRules = SessionRules()
    """The rules of the database's sessions."""

    sees_commits: ClassVar[bool] = True
    """Whether a transaction of :meth:`transaction` sees what other sessions commit while it is open."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._watch: Watch | None = current_cancellation()

    def with_session(
        self,
        *,
        allow_row_security: bool | None = None,
        keep_time_limits: bool | None = None,
        lock_seconds: int | None = None,
    ) -> Self:
        """Return the same database with other rules for its sessions; see :class:`.SessionRules`. ``None`` keeps a rule."""
        given = {"allow_row_security": allow_row_security, "keep_time_limits": keep_time_limits, "lock_seconds": lock_seconds}
        rules = msgspec.structs.replace(self.session, **{name: value for name, value in given.items() if value is not None})
        if rules == self.session:
            return self
        other = copy(self)
        other.session = rules
        return other

    def watched_by(self, watch: Watch) -> Self:
        """Return the same database with connections that ``watch`` may end, instead of the sync that this thread has begun."""
        other = copy(self)
        other._watch = watch
        return other

    def waiting(self, seconds: int) -> Self:
        """Return the same database, where locks of other sessions and syncs are waited for at most this long, in seconds."""
        return self.with_session(lock_seconds=min(seconds, self.session.lock_seconds or seconds))

    # -- components --------------------------------------------------------------------------------------------------

    catalog: component[Catalog]
    ddl: component[Ddl]
    details = component(DetailStatements)
    reader: component[Reader]
    queries: component[Queries]
    loader: component[Loader]
    digests: component[Digests]
    statements: component[MergeStatements]
    foreign_keys: component[ForeignKeys]
    identities: component[IdentityColumns]
    privileges = component(Privileges)
    version1: component[Version1]

    @cached_property
    def probes(self) -> Mapping[str, str]:
        """The results of :meth:`.Digests.probes`, asked for once: they change only with the server's version."""
        with self.connect() as connection:
            return self.digests.probes(connection)

    # -- connections -------------------------------------------------------------------------------------------------

    @contextmanager
    def connect(self, *, loading: bool = False) -> Iterator[Connection]:
        """Open a connection in autocommit mode with the session settings that every sync needs.

        The session uses UTC, utf8mb4 or UTF-8, and strict mode. It returns all rows or an error, and writes values in one form,
        whatever the defaults of role, database and server. It has no time limits of the role unless :attr:`session` keeps them.
        When a sync is cancelled from outside, the statement that runs on the connection is cancelled, too. If that does not help,
        the connection is shut down, even if it is only being opened or closed.

        :param loading: whether the connection must allow the engine's fastest way to load rows; some engines need a special
            connection for it
        :raises TransportError: (retryable) when the database does not answer
        """
        with self.translate_errors(), ExitStack() as stack:
            with limited_opening(self.engine, self._watch):
                connection = self.open_connection(loading=loading).execution_options(isolation_level="AUTOCOMMIT")
                driver = connection.connection.driver_connection
                connection.info[_SOCKET] = stack.enter_context(ConnectionSocket(socket_of(driver)))
                watching = stack.enter_context(ExitStack())
                stack.callback(_close, connection)
                keep_alive(driver)
                self.prepare_session(connection)
            watching.enter_context(self.cancellable(connection))
            yield connection

    def cancellable(self, connection: Connection) -> AbstractContextManager[None]:
        """Cancel the statement that runs on the connection when the sync, or what else watches, has to end."""
        return nullcontext() if self._watch is None else self._watch.watching(self.canceller(connection))

    def open_connection(self, *, loading: bool) -> Connection:
        """Open a connection whose session has the server's defaults."""
        return self.engine.connect()

    @abstractmethod
    def prepare_session(self, connection: Connection) -> None:
        """Apply the session settings to a new connection; see :meth:`connect`."""

    def require_session(self) -> None:  # noqa: B027  # each connection has its own session, unless there is a pooler
        """Check that all statements of a connection run in one session of the server.

        :raises ConfigurationError: if a pooler changes sessions, since temporary tables and settings would be lost
        """

    @abstractmethod
    def check_writable(self) -> None:
        """Check that the database can be written to, without writing anything; :class:`.Privileges` checks tables.

        :raises TableError: if the server, the file or its folder allow reading only
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Connection]:
        """Open a connection inside a read-only transaction that sees one consistent state of the database."""

    @contextmanager
    def held_snapshot(self, names: Collection[str] = (), queries: Collection[str] = ()) -> Iterator[HeldSnapshot]:
        """Hold one consistent state of the database inside the block, which any thread may read.

        Several connections see the state if the engine can export it; otherwise all threads share one connection.

        :param names: tables and views to read; see :meth:`.Reader.renew_snapshot`
        :param queries: queries to read
        """
        with self.snapshot() as connection:
            self.reader.renew_snapshot(connection, names, queries)
            shared = SharedConnection(connection, self.canceller(connection))
            try:
                yield shared
            finally:
                shared.end()

    @abstractmethod
    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Begin a transaction for writing (READ COMMITTED, or IMMEDIATE); commit it at the end, roll back on any exception.

        Unique keys that are :attr:`~.schema.UniqueKey.deferrable` are checked at the commit.
        """

    def rolled_back_in_part(self, connection: Connection) -> bool:
        """Whether the last transaction of a connection failed and wrote, by a trigger say, to a table that cannot roll back."""
        return False

    def run_deferred(self, connection: Connection) -> None:  # noqa: B027  # most databases defer nothing
        """Run deferred triggers and checks now, inside the transaction, instead of at its commit.

        :raises TableError: if a constraint is violated, or a trigger fails
        """

    def canceller(self, connection: Connection) -> Canceller:
        """Return what cancels the statement that runs on ``connection``, and shuts the connection down if that does not help.

        A statement that runs or waits for a lock soon ends with an error; if no statement runs, nothing happens.
        """
        opened: ConnectionSocket = connection.info[_SOCKET]
        return Canceller(self.cancel_request(connection), shut_down=opened.shut_down, name=name_of(self.engine))

    @abstractmethod
    def cancel_request(self, connection: Connection) -> Callable[[], bool]:
        """Return a function that asks the database to cancel the statement that runs on ``connection``.

        Any thread may call it, also when the connection is closed, any number of times. It ends within
        :data:`.PATIENCE_SECONDS` or about that, lets other threads run meanwhile, and never raises: it returns whether the
        database took the request.
        """

    @contextmanager
    def savepoint(self, connection: Connection) -> Iterator[None]:
        """Run the block inside a savepoint of the open transaction; roll back to the savepoint if the block raises."""
        # MySQL deletes a savepoint when another one gets the same name.
        name = f"sync_{next(_savepoints)}"
        connection.exec_driver_sql(f"SAVEPOINT {name}")
        try:
            yield
            connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")
        except BaseException:
            # A lost connection or a deadlock has already rolled back everything; raise the first error.
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")
            raise

    def exclusive(self, names: Sequence[str], *, timeout: float) -> AbstractContextManager[TableLock]:
        """Hold locks that keep syncs in all other processes, on any machine, from writing to these tables.

        At most one connection holds all locks. They are taken in the same order everywhere, and freed when the process dies.
        A table that does not exist yet can be locked, too.

        :param names: table names as :meth:`.Catalog.describe` accepts them
        :param timeout: seconds to wait for all locks together, if :attr:`.SessionRules.lock_seconds` is not shorter
        :raises LockTimeoutError: if another sync still holds one of the locks after that time
        :raises ConfigurationError: when two names refer to one table
        """
        return self.take_locks(names, timeout=min(timeout, self.session.lock_seconds or timeout))

    @abstractmethod
    def take_locks(self, names: Sequence[str], *, timeout: float) -> AbstractContextManager[TableLock]:
        """Hold the locks of :meth:`exclusive`, waiting for all of them together for ``timeout`` seconds."""

    # -- errors ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def translate_errors(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into :class:`.TableError`, :class:`.TableBusyError` or :class:`.TransportError`.

        A statement that waited for a lock in vain is a :class:`.LockTimeoutError`: a run then waits less for the next tables.
        Lost connections, deadlocks and lock timeouts are retryable; violated constraints, missing privileges and invalid
        values are not. The message contains the first line of the driver's message, never the statement's parameters.
        """

    @abstractmethod
    def is_duplicate(self, error: BaseException) -> bool:
        """Whether a driver's error reports a duplicate value of a unique key."""

    @abstractmethod
    def is_constraint(self, error: BaseException) -> bool:
        """Whether a driver's error reports a violated constraint of any kind."""

    def is_orphan(self, error: BaseException) -> bool:
        """Whether a driver's error reports a foreign key without a parent row."""
        return False

    # -- names -------------------------------------------------------------------------------------------------------

    def quote(self, identifier: str) -> str:
        """Quote an identifier by the rules of this engine, even if it needs no quotes.

        Percent signs are doubled if the driver requires it. ``exec_driver_sql`` always undoes the doubling; a driver's cursor
        undoes it only if it gets parameters, even an empty tuple.
        """
        return self.engine.dialect.identifier_preparer.quote_identifier(identifier)

    def qualified(self, table: Table) -> str:
        """Quote the table's name, with its schema if it has one."""
        return f"{self.quote(table.schema)}.{self.quote(table.name)}" if table.schema else self.quote(table.name)

    def relation(self, table: Table) -> str:
        """Return the table for a FROM clause, without an alias: its quoted name, or its query in parentheses."""
        # The line feed terminates a comment at the end of the query.
        return self.qualified(table) if table.query is None else f"({self.doubled(table.query)}\n)"

    def doubled(self, statement: str) -> str:
        """Double the percent signs of SQL if :meth:`quote` does."""
        return statement.replace("%", self.quote("%")[1:-1])

    def undoubled(self, statement: str) -> str:
        """Undo the doubling of percent signs by :meth:`quote`."""
        return statement.replace(self.quote("%")[1:-1], "%")

    def is_null(self, value: str) -> str:
        """Return the condition that an expression is NULL."""
        return f"{value} IS NULL"

    def current(self, table: Table, alias: str = "") -> str:
        """Return the condition that a row is current (see :attr:`.Table.ended_at`); empty if all rows of the table are.

        The column is quoted for ``exec_driver_sql``, as :meth:`quote` does.
        """
        return f"{self.columns([table.ended_at.name], alias)} IS NULL" if table.ended_at else ""

    def current_rows(self, table: Table) -> str:
        """Return the table (alias ``t``) for a FROM clause, with a WHERE clause that selects only current rows."""
        condition = self.current(table, "t")
        return f"{self.relation(table)} AS t{f' WHERE {condition}' if condition else ''}"

    def columns(self, names: Iterable[str], alias: str = "") -> str:
        """Quote column names, put ``alias`` before each, and join them with commas."""
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + self.quote(name) for name in names)
