"""SQLite, from 3.37 on."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from airflow_provider_sync.databases.base import BATCH_ROWS
from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.databases.schema import OP, STAGING_PREFIX, Column, Op, Row, Table, Value
from airflow_provider_sync.databases.sqlite.catalog import describe_table, is_strict, list_children, place_of
from airflow_provider_sync.databases.sqlite.digests import SQLiteCanonical
from airflow_provider_sync.databases.sqlite.load import load_rows
from airflow_provider_sync.databases.sqlite.locks import hold_locks, lock_path
from airflow_provider_sync.databases.sqlite.session import decode, driver_of, roll_back, translate, write_transaction
from airflow_provider_sync.databases.sqlite.text import register_functions
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TableError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.protocol.v1.numbers import php_float
from airflow_provider_sync.time_zones import UTC, TimeZone

BUSY_SECONDS = 60
"""How long a statement waits for another process that writes to the database."""

_PREPARED = "sync_functions"
"""Tells in a connection's notes that it has the functions of version 2."""


class SQLiteDatabase(SQLiteCanonical):
    """A database file, or one in memory."""

    family = "sqlite"
    keeps_instants = False

    # -- connections -------------------------------------------------------------------------------------------------

    def prepare_session(self, connection: Connection) -> None:
        """Wait for writers, and take text that is not UTF-8 for what it is."""
        seconds = min(BUSY_SECONDS, self.session.lock_seconds or BUSY_SECONDS)
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {seconds * 1000}")
        driver = driver_of(connection)
        driver.text_factory = decode
        if not connection.info.get(_PREPARED):
            register_functions(driver)
            connection.info[_PREPARED] = True

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read transaction; the first read, not BEGIN, is what fixes the state that it sees."""
        with self.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            try:
                connection.exec_driver_sql("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
                yield connection
            finally:
                roll_back(connection)

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Begin with the write lock; see :func:`.session.write_transaction`."""
        with write_transaction(connection):
            yield

    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Interrupt it; what waits for a lock waits on, for :data:`BUSY_SECONDS` at most."""
        driver = driver_of(connection)

        def cancel() -> None:
            # Of a connection that has been closed.
            with suppress(sqlite3.ProgrammingError):
                driver.interrupt()

        return cancel

    @contextmanager
    def translate_errors(self) -> Iterator[None]:
        """Turn SQLite's errors into those of this package; the only one that may pass is a lock."""
        try:
            yield
        except DBAPIError as error:
            raise translate(error.orig or error).anonymously() from error
        except sqlite3.Error as error:
            raise translate(error).anonymously() from error

    @contextmanager
    def exclusive(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold lock files beside the database file; a database in memory has no other users."""
        with self.connect() as connection:
            locks = by_lock((str(lock_path(connection, *place_of(connection, name))), name) for name in names)
        with hold_locks(locks, timeout=timeout) as lock:
            yield lock

    # -- describing --------------------------------------------------------------------------------------------------

    def describe(self, connection: Connection, name: str) -> Table:
        """Describe a table; see :func:`.catalog.describe_table`."""
        return describe_table(connection, name)

    def list_tables(self, connection: Connection) -> list[str]:
        """Name the tables of the main database, without SQLite's own."""
        rows = connection.exec_driver_sql(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
        ).fetchall()
        return sorted(row[0] for row in rows if not row[0].startswith((STAGING_PREFIX, "sqlite_")))

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows as they are stored: SQLite has no types beyond those of version 1.

        Text that is not UTF-8 comes as ``bytes``.
        """
        order = f" ORDER BY {self.columns(order_by)}" if order_by else ""
        cursor = driver_of(connection).execute(
            f"SELECT {self.columns(column.name for column in columns)} FROM {self.qualified(table)}{order}"
        )
        try:
            while rows := cursor.fetchmany(BATCH_ROWS):
                yield rows
        finally:
            cursor.close()

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        return cast("int", connection.exec_driver_sql(f"SELECT COUNT(*) FROM {self.qualified(table)}").scalar_one())

    # -- version 1 of the protocol -----------------------------------------------------------------------------------

    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """SQLite has no SHA-1."""
        return None

    def hash_order(self, table: Table) -> Sequence[str]:
        """Take the row id, whatever the primary key; the primary key where the table has no row id."""
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key. Add one: version 1 cannot hash its rows without.")
        return (table.row_id,) if table.row_id else table.primary_key

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Render by the type of each value, since a column may hold any."""
        return _hash_text

    def hash_column(self, column: Column, row: Sequence[Column]) -> Callable[[Sequence[Value]], Iterable[bytes]]:
        """Render columns that hold values of one type, nearly all, without a call per value."""

        def render_all(values: Sequence[Any]) -> Iterable[bytes]:
            types = set(map(type, values))
            if types == {str}:
                return map(str.encode, values)
            if types == {int}:
                return map(str.encode, map(str, values))
            return [NULL if value is None else _HASH_TEXT[type(value)](value) for value in values]

        return render_all

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Look at every column, since any may hold any value.

        JSON has no blobs. A column's declared type says what a string is, but for columns without one, which keep the type of
        each value: a blob there would arrive as text, with an equal hash.
        """
        for rows in self.read(connection, table, columns):
            for column, values in zip(columns, zip(*rows, strict=True), strict=True):
                types = set(map(type, values))
                if bytes in types and column.sql_type.strip().upper() in ("", "ANY"):
                    return column
                if (bytes in types or float in types) and not all(map(_sendable, values)):
                    return column
        return None

    # -- staging -----------------------------------------------------------------------------------------------------

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
        """Create the table in the target's database, STRICT where the target is."""
        staging = Table(
            name=name, schema="temp" if temporary else target.schema, columns=tuple(columns), primary_key=tuple(primary_key)
        )
        definitions = [self._definition(column, key=column.name in primary_key) for column in columns]
        definitions.append(f"PRIMARY KEY ({self.columns(primary_key)})")
        options = " STRICT" if is_strict(connection, target) else ""
        connection.exec_driver_sql(f"CREATE TABLE {self.qualified(staging)} ({', '.join(definitions)}){options}")
        prefix = f"{self.quote(staging.schema)}." if staging.schema else ""
        for number, column_name in enumerate(indexes):
            connection.exec_driver_sql(
                f"CREATE INDEX {prefix}{self.quote(f'{name}_{number}')} ON {self.quote(name)} ({self.quote(column_name)})"
            )
        return staging

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Insert exactly what came, or refuse it; see :func:`.load.load_rows`."""
        return load_rows(connection, staging, self.qualified(staging), self.quote, batches)

    # -- merging -----------------------------------------------------------------------------------------------------

    @contextmanager
    def foreign_keys_off(self, connection: Connection, tables: Sequence[Table]) -> Iterator[None]:
        """Switch the checks of this connection off; SQLite ignores that inside a transaction.

        :raises TableError: when they stay on, and a table has foreign keys
        """
        before = connection.exec_driver_sql("PRAGMA foreign_keys").scalar()
        connection.exec_driver_sql("PRAGMA foreign_keys = OFF")
        bound = next((table for table in tables if table.foreign_keys), None)
        if bound is not None and connection.exec_driver_sql("PRAGMA foreign_keys").scalar():
            raise TableError(
                f"Table {str(bound)!r}: PRAGMA foreign_keys = OFF has no effect on this connection, so that actions of foreign"
                " keys would change other rows.",
                NOTHING_CHANGED,
                "Open the database without a transaction or an authorizer.",
            )
        try:
            yield
        finally:
            if before:
                connection.exec_driver_sql("PRAGMA foreign_keys = ON")

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Ask ``PRAGMA foreign_key_check``; a constraint is called by its columns, since SQLite forgets its name."""
        schema = table.schema or "main"
        orphans: Counter[str] = Counter()
        for child in {table.name, *list_children(connection, schema, table.name)}:
            keys: dict[int, tuple[str, list[str]]] = {}
            listed = connection.exec_driver_sql(
                'SELECT id, "table", "from" FROM pragma_foreign_key_list(?, ?) ORDER BY id, seq', (child, schema)
            )
            for number, parent, column in listed:
                keys.setdefault(number, (parent, []))[1].append(column)
            for (number,) in connection.exec_driver_sql("SELECT fkid FROM pragma_foreign_key_check(?, ?)", (child, schema)):
                parent, columns = keys[number]
                if table.name.lower() in (child.lower(), parent.lower()):
                    orphans[f"{child}.{'_'.join(columns)}"] += 1
        return dict(orphans)

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the list of keys in the connection's own temporary database."""
        columns = (
            Column(name=OP, kind=target.columns[0].kind, sql_type="CHAR(1)", nullable=False),
            *(target.column(column) for column in key),
        )
        work = Table(name=name, schema="temp", columns=columns, primary_key=tuple(column.name for column in columns))
        definitions = [self._definition(column, key=True) for column in columns]
        definitions.append(f"PRIMARY KEY ({self.columns(work.primary_key)})")
        connection.exec_driver_sql(f"CREATE TABLE {self.qualified(work)} ({', '.join(definitions)}) WITHOUT ROWID")
        return work

    def after_insert(self, connection: Connection, target: Table) -> None:
        """AUTOINCREMENT follows by itself."""

    def comparable(self, column: Column, alias: str) -> str:
        """Compare every column by its bytes: whatever its type, it may hold text, and have a collation."""
        return self.as_bytes(f"{alias}.{self.quote(column.name)}")

    def many_forms(self, key: Sequence[Column]) -> list[Column]:
        """Return the columns with a collation of their own."""
        return [column for column in key if column.collation]

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a unique key would have had a value twice."""
        found = getattr(error, "orig", None) or error
        return getattr(found, "sqlite_errorcode", None) in (
            sqlite3.SQLITE_CONSTRAINT_UNIQUE,
            sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        )

    def is_constraint(self, error: BaseException) -> bool:
        """Whether the code is one of a constraint."""
        found = getattr(error, "orig", None) or error
        return (getattr(found, "sqlite_errorcode", None) or 0) & 0xFF == sqlite3.SQLITE_CONSTRAINT

    def as_bytes(self, expression: str) -> str:
        """Overrule the column's collation."""
        return f"{expression} COLLATE BINARY"

    def same(self, column: Column, left: str, right: str) -> str:
        """Compare with IS, which every version has."""
        return f"{self.comparable(column, left)} IS {self.comparable(column, right)}"

    def delete_listed(self, target: Table, work: Table, key: Sequence[Column], op: Op = Op.DELETE) -> str:
        """Find the rows by their key and delete them by what identifies them in SQLite, which has no DELETE with a join."""
        identity = (target.row_id,) if target.row_id else target.primary_key
        return (
            f"DELETE FROM {self.qualified(target)} WHERE ({self.columns(identity)}) IN"
            f" (SELECT {self.columns(identity, 't')} FROM {self.qualified(work)} AS w"
            f" JOIN {self.qualified(target)} AS t ON {self.match(key, 't', 'w')} WHERE w.{OP} = '{op}')"
        )

    def _definition(self, column: Column, *, key: bool) -> str:
        collation = f" COLLATE {self.quote(column.collation)}" if column.collation else ""
        return f"{self.quote(column.name)} {column.sql_type}{' NOT NULL' if key or not column.nullable else ''}{collation}"


_HASH_TEXT: dict[type, Callable[[Any], bytes]] = {
    str: str.encode,
    int: lambda value: b"%d" % value,
    float: lambda value: php_float(value).encode(),
    bytes: bytes,
}


def _hash_text(value: Value) -> bytes:
    return _HASH_TEXT[type(value)](value)


def _sendable(value: Value) -> bool:
    if isinstance(value, bytes):
        return isinstance(decode(value), str)
    return not isinstance(value, float) or abs(value) != float("inf")
