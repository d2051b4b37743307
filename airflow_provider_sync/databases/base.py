"""The contract of a database engine: all that differs between databases, and the SQL that they share.

One class per family of databases derives from :class:`Database`. No other module asks which engine it talks to. The
SQL written here is what PostgreSQL and SQLite have in common; MySQL overrides where it differs.

Connections are in autocommit mode throughout, and transactions are spelled out (:meth:`Database.snapshot`,
:meth:`Database.transaction`), so that it is always clear which statement runs inside one: on MySQL any DDL commits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import copy
from hashlib import sha256
from itertools import count
from typing import ClassVar, Self

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.cancellation import current_cancellation
from airflow_provider_sync.databases.canonical import CanonicalDatabase
from airflow_provider_sync.databases.keep_alive import keep_alive
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.databases.schema import OP, TEXTUAL, Column, Op, Row, Table, Value
from airflow_provider_sync.databases.session_rules import SessionRules
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.time_zones import UTC, TimeZone

BATCH_ROWS = 5_000
"""Rows in one batch between database and caller: large enough that the cost per batch vanishes, a few MB in memory."""

_savepoints = count(1)


def _close(connection: Connection) -> None:
    """Close a connection, also one that the server has ended: what was committed stands, and nothing else was to be."""
    try:
        connection.close()
    except SQLAlchemyError:
        if not connection.closed:
            connection.invalidate()
            connection.close()


class Database(CanonicalDatabase):
    """One database, reached through an SQLAlchemy engine.

    :param engine: where the database is; the caller disposes of it
    """

    family: ClassVar[str]
    """Databases of one family give equal version 1 hashes for equal rows."""

    keeps_instants: ClassVar[bool] = True
    """Whether columns of the kind TIMESTAMP hold instants, whose text depends on a time zone; otherwise they hold a text."""

    session: SessionRules = SessionRules()
    """Choices for its sessions."""

    overriding: ClassVar[str] = ""
    """What an INSERT says so that identity columns take the values that it has."""

    straight_join: ClassVar[str] = "JOIN"
    """How tables are joined in the order in which they are named."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._cancellation = current_cancellation()

    def with_session(
        self, *, allow_row_security: bool = False, keep_time_limits: bool = False, lock_seconds: int | None = None
    ) -> Self:
        """Return the same database with other rules for its sessions; see :class:`.SessionRules`."""
        rules = SessionRules(allow_row_security=allow_row_security, keep_time_limits=keep_time_limits, lock_seconds=lock_seconds)
        if rules == self.session:
            return self
        other = copy(self)
        other.session = rules
        return other

    # -- connections -------------------------------------------------------------------------------------------------

    @contextmanager
    def connect(self, *, loading: bool = False) -> Iterator[Connection]:
        """Open a connection in autocommit mode whose session is set as every sync needs it.

        Time zone UTC, utf8mb4 or UTF-8, strict mode, all rows or an error, values in one form whatever the role, the database or
        the server have as defaults, and no time limits of the role unless :attr:`session` keeps them.
        A sync that is ended from outside cancels the statement that runs on it.

        :param loading: whether rows may be loaded over it by the fastest way of the engine, where that asks for a connection
            of its own kind
        :raises TransportError: (retryable) when the database does not answer
        """
        with self.translate_errors():
            connection = self.open_connection(loading=loading).execution_options(isolation_level="AUTOCOMMIT")
            try:
                keep_alive(connection.connection.driver_connection)
                self.prepare_session(connection)
                with self._cancellable(connection):
                    yield connection
            finally:
                _close(connection)

    def _cancellable(self, connection: Connection) -> AbstractContextManager[None]:
        """Have what runs on the connection cancelled when the sync that uses this database is ended from outside."""
        return nullcontext() if self._cancellation is None else self._cancellation.watching(self.canceller(connection))

    def open_connection(self, *, loading: bool) -> Connection:
        """Open a connection whose session is as the server has it."""
        return self.engine.connect()

    @abstractmethod
    def prepare_session(self, connection: Connection) -> None:
        """Set a fresh connection's session: see :meth:`connect`."""

    def require_session(self) -> None:  # every statement of a connection runs in one session, unless something stands between
        """See that a connection has one session of the server from its first statement to its last.

        :raises ConfigurationError: where it has not, so that temporary tables and settings are lost
        """

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[Connection]:
        """Open a connection inside a read-only transaction that sees one state of the database throughout."""

    @abstractmethod
    def transaction(self, connection: Connection) -> AbstractContextManager[None]:
        """Begin a transaction for writing (READ COMMITTED, or IMMEDIATE); commit it at the end, roll back on any exception.

        Unique keys that are :attr:`~.schema.UniqueKey.deferrable` are checked at its end.
        """

    @abstractmethod
    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Return a function that cancels the statement that runs on ``connection`` when it is called.

        Any thread may call it, as long as the connection is open, and as often as it likes: a statement that waits for a
        lock, or is at work, ends with an error soon; where none runs, nothing happens. The function raises nothing: where
        the database cannot be told, the statement goes on.
        """

    @contextmanager
    def savepoint(self, connection: Connection) -> Iterator[None]:
        """Undo what follows, and only that, when it raises; inside a transaction."""
        # MySQL forgets a savepoint when another one gets its name.
        name = f"sync_{next(_savepoints)}"
        connection.exec_driver_sql(f"SAVEPOINT {name}")
        try:
            yield
            connection.exec_driver_sql(f"RELEASE SAVEPOINT {name}")
        except BaseException:
            # A lost connection and a dead-lock have undone everything, and the first error is the one to tell.
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql(f"ROLLBACK TO SAVEPOINT {name}")
            raise

    @abstractmethod
    def translate_errors(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into :class:`TableError`, :class:`TableBusyError` or :class:`TransportError`.

        Lost connections, dead-locks and lock time-outs are retryable; broken constraints, missing privileges and bad
        values are not. The message has the driver's first line, never the statement's parameters.
        """

    @abstractmethod
    def exclusive(self, names: Sequence[str], *, timeout: float) -> AbstractContextManager[TableLock]:
        """Hold the locks that keep two syncs of a table apart, on any machine that reaches this database.

        All of them over one connection at most, taken in one order everywhere; freed when the process dies. A table need not
        be there: it has the lock that it will have once it is made.

        :param names: as :meth:`describe` takes them
        :param timeout: seconds to wait for all together
        :raises TableBusyError: when another sync holds one for longer
        :raises ConfigurationError: when two names mean one table
        """

    # -- describing --------------------------------------------------------------------------------------------------

    @abstractmethod
    def describe(self, connection: Connection, name: str) -> Table:
        """Describe the table called ``name``: as it stands, or split at its first dot into schema and table.

        :raises MissingTableError: when there is no such table
        :raises TableError: when it is a view
        """

    def sees_all_columns(self, connection: Connection, table: Table) -> bool:
        """Whether the description has every column; a database may leave out those that the user may not read."""
        return True

    @abstractmethod
    def list_tables(self, connection: Connection) -> list[str]:
        """Name the tables of the default schema, sorted; views and staging tables are left out."""

    def quote(self, identifier: str) -> str:
        """Quote an identifier by the rules of this engine, always.

        A percent sign comes doubled where the driver wants it so. ``exec_driver_sql`` undoes that with and without
        parameters; a cursor does it only when it gets parameters, if only an empty tuple.
        """
        return self.engine.dialect.identifier_preparer.quote_identifier(identifier)

    def qualified(self, table: Table) -> str:
        """Quote the table's name, with its schema where it has one."""
        return f"{self.quote(table.schema)}.{self.quote(table.name)}" if table.schema else self.quote(table.name)

    def columns(self, names: Iterable[str], alias: str = "") -> str:
        """List quoted columns, each behind ``alias``, separated by commas."""
        prefix = f"{alias}." if alias else ""
        return ", ".join(prefix + self.quote(name) for name in names)

    # -- reading -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows in batches of at most :data:`BATCH_ROWS`, never more than one batch in memory.

        Values are what version 1 calls the JSON value of a column: ``int`` for integers, booleans and bits, ``float``
        for doubles, ``str`` for decimals with their scale, dates and times as MySQL writes them, text, enums, JSON;
        ``bytes`` for binary columns; ``None``. FLOAT comes as ``float`` with 6 significant digits, a zero-filled
        integer as padded ``str``, CHAR without trailing spaces, instants in UTC.

        :param connection: usually one of :meth:`snapshot`
        :param order_by: columns to sort by, as the database sorts them
        """

    @abstractmethod
    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""

    # -- version 1 of the protocol -----------------------------------------------------------------------------------

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return the time zone of sessions that set none, as existing servers and clients leave it: an offset or an IANA name.

        :return: ``None`` where there is none, or its rules cannot be told
        """
        return None

    @abstractmethod
    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """Compute the version 1 hash inside the database; ``None`` where that is not possible or not exact.

        :param zone: in which instants are rendered
        """

    @abstractmethod
    def hash_order(self, table: Table) -> Sequence[str]:
        """Name the columns by which rows are ordered for the version 1 hash, as existing servers order them.

        :raises TableError: when the table has no primary key
        """

    def read_in_hash_order(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Iterator[list[Row]]:
        """Stream the rows as :meth:`read` does, in the order in which the version 1 hash takes them.

        :raises TableError: when the table has no primary key
        """
        return self.read(connection, table, columns, order_by=self.hash_order(table))

    @abstractmethod
    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that renders a value of :meth:`read`, never ``None``, as version 1 hashes it.

        :param row: all columns that are hashed; a binary one among them changes how text goes in
        """

    def hash_column(self, column: Column, row: Sequence[Column]) -> Callable[[Sequence[Value]], Iterable[bytes]]:
        """Return the function that renders one column of a batch as version 1 hashes it, NULL included.

        Engines override it where many values can be rendered faster together than one by one.
        """
        render = self.hash_text(column, row)

        def render_all(values: Sequence[Value]) -> Iterable[bytes]:
            if None in values:
                return [NULL if value is None else render(value) for value in values]
            return map(render, values)

        return render_all

    @abstractmethod
    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with a value that JSON cannot carry (bytes that are not UTF-8, infinity), or ``None``.

        Only columns whose type allows such values are looked at.
        """

    def find_null(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first of the columns that holds NULL, or ``None``; those that cannot are not looked at."""
        for column in columns:
            statement = f"SELECT 1 FROM {self.qualified(table)} WHERE {self.quote(column.name)} IS NULL LIMIT 1"
            if column.nullable and connection.exec_driver_sql(statement).first() is not None:
                return column
        return None

    @abstractmethod
    def is_duplicate(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a unique key would have had a value twice."""

    @abstractmethod
    def is_constraint(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a constraint of the table would have been broken, of whatever kind."""

    def is_orphan(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a row would have referred to nothing."""
        return False

    def has_duplicates(self, connection: Connection, table: Table, key: Sequence[Column]) -> bool:
        """Whether several rows have the same key, by bytes; where a unique index rules that out, nothing is read.

        Without one this reads all keys. NULL counts as a value.
        """
        names = {column.name for column in key}
        unique = [table.primary_key, *(unique.columns for unique in table.unique_keys)]
        if any(columns and names.issuperset(columns) for columns in unique):
            return False
        values = ", ".join(
            self.comparable(column, "t") if column.kind in TEXTUAL else f"t.{self.quote(column.name)}" for column in key
        )
        statement = f"SELECT 1 FROM {self.qualified(table)} AS t GROUP BY {values} HAVING COUNT(*) > 1 LIMIT 1"
        return connection.exec_driver_sql(statement).first() is not None

    # -- staging -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def create_staging(
        self,
        connection: Connection,
        target: Table,
        columns: Sequence[Column],
        *,
        name: str,
        primary_key: Sequence[str],
        indexes: Sequence[str] = (),
        temporary: bool = False,
    ) -> Table:
        """Create an empty table beside ``target``, with those of its columns and its types, and that primary key.

        No defaults, no AUTO_INCREMENT, no generated columns, no foreign keys, no triggers.
        """

    @abstractmethod
    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load rows, whose values stand in the order of the table's columns, by the fastest way that the server allows.

        Values are those of :meth:`read`, from any engine. Nothing is mangled silently: a value that the column would
        change (a decimal cut, a text shortened, a date zeroed, a NULL replaced) is an error.

        :return: rows loaded
        :raises TableError: naming the table, the column where it is known, and the reason
        """

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a staging or work table, if it is there."""
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.qualified(table)}")

    def is_empty(self, connection: Connection, table: Table) -> bool:
        """Whether a table has no rows."""
        return connection.exec_driver_sql(f"SELECT 1 FROM {self.qualified(table)} LIMIT 1").first() is None

    def drop_if_empty(self, connection: Connection, table: Table) -> None:
        """Drop a table that a failed sync has made, unless somebody has put rows into it or replaced it.

        :param table: as it was described when it was made
        """
        with self.transaction(connection):
            self.lock_whole(connection, table)
            if self.describe(connection, str(table)) == table and self.is_empty(connection, table):
                self.drop(connection, table)

    def lock_whole(self, connection: Connection, table: Table) -> None:  # SQLite's transactions lock everything
        """Keep everybody else from writing to ``table`` until the transaction ends."""

    # -- merging -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def foreign_keys_off(self, connection: Connection, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Switch foreign-key checks off around a transaction, and back to what they were in any case.

        :raises TableError: where the role may not and constraints are in the way, naming the grant
        """

    def references_kept(self, connection: Connection, changes: Sequence[ListedChanges]) -> AbstractContextManager[None]:
        """See that no action of a foreign key that stays on touches a row that is not to change.

        Rows that have to be deleted last are listed so. Called inside the transaction, with the work tables filled.

        :return: to be entered around the writes
        :raises ReferencedRowsError: before anything is written, when rows would be changed or lose what they refer to
        """
        return nullcontext()

    def why_not_replace(self, connection: Connection, change: ListedChanges) -> str | None:
        """Say why the rows listed under ``R`` cannot be deleted and inserted again; ``None`` where nothing else would happen."""
        if not change.target.triggers:
            return None
        return f"the triggers of the table ({', '.join(change.target.triggers)}) would take them for deleted"

    def let_identities_change(self, connection: Connection, target: Table, columns: Sequence[Column]) -> bool:
        """Let columns that are :attr:`~.schema.Column.insert_only` be updated, if this role may; before any other write."""
        return False

    def fix_identities(self, connection: Connection, target: Table, columns: Sequence[Column]) -> None:
        """Take :meth:`let_identities_change` back, after all other writes of the transaction."""

    def merged_together(self, names: Sequence[str]) -> list[list[int]]:
        """Group tables, by their places in ``names``, that share a transaction since foreign keys between them stay on."""
        return [[number] for number in range(len(names))]

    def fingerprint(self, connection: Connection, table: Table) -> object:
        """Return what differs as soon as this transaction changes the table; seen over the transaction's own connection."""
        digest = sha256()
        for rows in self.read(connection, table, table.columns, order_by=table.primary_key):
            for row in rows:
                digest.update(repr(row).encode(errors="surrogatepass"))
        return digest.digest()

    def written_last(self, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
        """Name the columns of each table that are written once all tables have their rows: they refer to what comes later.

        Columns that may be NULL until then, of foreign keys that stay on and form a ring.
        """
        return [frozenset() for _ in changes]

    @abstractmethod
    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count rows whose foreign key points to nothing, in ``table`` and in the tables that refer to it.

        :return: number of rows by ``table.constraint``, only where there are any
        """

    @abstractmethod
    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the temporary table that lists the keys to change.

        Its columns are :data:`~.schema.OP`, one character, then the key with the types and collations of ``target``; all
        together are its primary key. The first is an :class:`~.schema.Op`.
        """

    @abstractmethod
    def after_insert(self, connection: Connection, target: Table) -> None:
        """Move sequences past the highest key, inside the transaction. Nothing where the engine does so itself."""

    def comparable(self, column: Column, alias: str) -> str:
        """Return the column as an expression whose equality is equality of bytes."""
        name = f"{alias}.{self.quote(column.name)}"
        return self.as_bytes(name) if column.kind in TEXTUAL else name

    @abstractmethod
    def as_bytes(self, expression: str) -> str:
        """Return an expression that compares text by its bytes, whatever the collation."""

    def same(self, column: Column, left: str, right: str) -> str:
        """Return a condition: the column is the same in both, NULL equal to NULL, text by bytes."""
        return f"{self.comparable(column, left)} IS NOT DISTINCT FROM {self.comparable(column, right)}"

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return a condition: both rows have the same key, by bytes, in a form that can use the key's index."""
        conditions = [self.equal(key, left, right)]
        conditions += [
            f"{self.comparable(column, left)} = {self.comparable(column, right)}" for column in key if column.kind in TEXTUAL
        ]
        return " AND ".join(conditions)

    def equal(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return a condition: the database calls the keys of both rows equal, as a unique index does; their bytes may differ."""
        return " AND ".join(f"{left}.{self.quote(column.name)} = {right}.{self.quote(column.name)}" for column in key)

    def many_forms(self, key: Sequence[Column]) -> list[Column]:
        """Return the columns whose values the database may call equal though their bytes differ: ``ab`` and ``AB``."""
        return [column for column in key if self.comparable(column, "t") != f"t.{self.quote(column.name)}"]

    def absent(self, key: Sequence[Column], alias: str) -> str:
        """Return a condition: an outer join found no row, whose key would have no NULL."""
        return f"{alias}.{self.quote(key[0].name)} IS NULL"

    def looked_up(self, table: Table, alias: str, key: Sequence[str]) -> str:
        """Return the table under an alias, for a join that looks its rows up by these columns whatever statistics say."""
        return f"{self.qualified(table)} AS {alias}"

    def removed_rows(self, target: Table, removed: Table, key: Sequence[Column]) -> str:
        """Return the join ``t`` with ``r`` of the rows of ``target`` whose keys ``removed`` lists."""
        names = [column.name for column in key]
        return f"{self.qualified(removed)} AS r JOIN {self.looked_up(target, 't', names)} ON {self.match(key, 't', 'r')}"

    def parameter(self, column: Column, value: Value) -> Value:
        """Return a value of :meth:`read` as the driver has to have it, to compare it with the column."""
        return value

    def delete_listed(self, target: Table, work: Table, key: Sequence[Column], op: Op = Op.DELETE) -> str:
        """Return the statement that deletes the rows of ``target`` that ``work`` lists under ``op``."""
        return (
            f"DELETE FROM {self.qualified(target)} AS t USING {self.qualified(work)} AS w"
            f" WHERE w.{OP} = '{op}' AND {self.match(key, 't', 'w')}"
        )

    def rename_listed(self, target: Table, staging: Table, work: Table, key: Sequence[Column]) -> str:
        """Return the statement that writes the keys of the rows listed under ``K`` as they are staged; the rows stay."""
        assignments = ", ".join(f"{self.quote(column.name)} = s.{self.quote(column.name)}" for column in key)
        return (
            f"UPDATE {self.qualified(target)} AS t SET {assignments}"
            f" FROM {self.qualified(work)} AS w JOIN {self.qualified(staging)} AS s ON {self.match(key, 's', 'w')}"
            f" WHERE w.{OP} = '{Op.RENAME}' AND {self.equal(key, 't', 'w')}"
        )

    def update_listed(
        self,
        target: Table,
        staging: Table,
        work: Table,
        key: Sequence[Column],
        columns: Sequence[str],
        op: Op = Op.UPDATE,
    ) -> str:
        """Return the statement that sets ``columns`` of the rows that ``work`` lists under ``op`` to what is staged."""
        assignments = ", ".join(f"{self.quote(name)} = s.{self.quote(name)}" for name in columns)
        return (
            f"UPDATE {self.qualified(target)} AS t SET {assignments}"
            f" FROM {self.qualified(work)} AS w JOIN {self.qualified(staging)} AS s ON {self.match(key, 's', 'w')}"
            f" WHERE w.{OP} = '{op}' AND {self.match(key, 't', 'w')}"
        )

    def insert_listed(
        self,
        target: Table,
        staging: Table,
        work: Table,
        key: Sequence[Column],
        columns: Sequence[str],
        *,
        op: Op = Op.INSERT,
        kept: Table | None = None,
    ) -> str:
        """Return the statement that inserts the staged rows that ``work`` lists under ``op``.

        :param kept: has the values of further columns by the same key
        """
        names = [column.name for column in key]
        others = [column.name for column in kept.columns if column.name not in names] if kept else []
        listed = f"{self.columns(columns, 's')}{', ' + self.columns(others, 'k') if others else ''}"
        return (
            f"INSERT INTO {self.qualified(target)} ({self.columns([*columns, *others])}) {self.overriding}SELECT {listed}"
            f" FROM {self.qualified(work)} AS w {self.straight_join} {self.looked_up(staging, 's', names)}"
            f" ON {self.match(key, 's', 'w')}"
            + (f" JOIN {self.looked_up(kept, 'k', names)} ON {self.match(key, 'k', 'w')}" if kept else "")
            + f" WHERE w.{OP} = '{op}'"
        )

    def insert_all(self, target: Table, staging: Table, columns: Sequence[str]) -> str:
        """Return the statement that inserts every staged row, for a target that has none."""
        return (
            f"INSERT INTO {self.qualified(target)} ({self.columns(columns)}) {self.overriding}SELECT {self.columns(columns, 's')}"
            f" FROM {self.qualified(staging)} AS s"
        )
