"""MySQL 8 and 9 and MariaDB behind the contract of :mod:`~airflow_provider_sync.databases.base`.

What differs between the two servers, and between their versions, is asked of the server itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.databases.mysql import (
    binlog,
    catalog,
    ddl,
    foreign_keys,
    load,
    local_infile,
    read,
    time_zone,
    version1,
)
from airflow_provider_sync.databases.mysql.catalog import MySQLTable
from airflow_provider_sync.databases.mysql.digests import MySQLCanonical
from airflow_provider_sync.databases.mysql.errors import (
    BROKEN_CONSTRAINTS,
    DATABASE_ERRORS,
    DUPLICATE,
    MIXED_COLLATIONS,
    NO_COLUMN_PRIVILEGE,
    NO_FUNCTION,
    error_number,
    translated,
)
from airflow_provider_sync.databases.mysql.locks import hold_locks
from airflow_provider_sync.databases.mysql.session import quote_by_backticks, set_session
from airflow_provider_sync.databases.schema import OP, Column, Kind, Op, Row, Table, Value
from airflow_provider_sync.exceptions import ConfigurationError, TableError
from airflow_provider_sync.protocol.v1 import EMPTY
from airflow_provider_sync.time_zones import UTC, TimeZone

_DRIVERS = ("mysqldb", "pymysql")


class MySQLDatabase(MySQLCanonical):
    """A MySQL or MariaDB server, reached through mysqlclient or pymysql."""

    family = "mysql"
    straight_join = "STRAIGHT_JOIN"

    def __init__(self, engine: Engine) -> None:
        if engine.dialect.driver not in _DRIVERS:
            raise ConfigurationError(
                f"The driver {engine.dialect.driver!r} is not supported. Use mysqlclient (mysql+mysqldb://) or pymysql (mysql+pymysql://)."
            )
        super().__init__(engine)
        quote_by_backticks(engine)
        local_infile.confine(engine)
        self._mariadb: bool | None = None
        self._sha1: bool | None = None
        self._logs_statements: bool | None = None

    # -- connections -------------------------------------------------------------------------------------------------

    def open_connection(self, *, loading: bool) -> Connection:
        """Open a connection; only one for loading can send rows as a file, and no other file."""
        with local_infile.loading() if loading else nullcontext():
            return super().open_connection(loading=loading)

    def prepare_session(self, connection: Connection) -> None:
        """Set a fresh connection's session: see :mod:`.session`."""
        # The driver has to know, too: it decodes by what it was told last.
        connection.connection.driver_connection.set_character_set("utf8mb4")  # type: ignore[union-attr]  # just connected
        connection.exec_driver_sql(set_session(self.session, mariadb=self._is_mariadb(connection)))
        if self._logs_statements is None:
            self._logs_statements = binlog.logs_statements(connection)
        if self._logs_statements:
            binlog.log_rows(connection)

    def _is_mariadb(self, connection: Connection) -> bool:
        if self._mariadb is None:
            self._mariadb = "mariadb" in str(connection.exec_driver_sql("SELECT VERSION()").scalar_one()).lower()
        return self._mariadb

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read-only transaction that sees one state of the database throughout."""
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

        It is READ COMMITTED, or what :mod:`.binlog` says of servers that log statements.
        """
        if not (self._logs_statements and binlog.logs_statements(connection)):
            connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        connection.exec_driver_sql("START TRANSACTION")
        try:
            yield
            connection.exec_driver_sql("COMMIT")
        except BaseException:
            # A lost connection rolls back by itself, and the first error is the one to tell.
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql("ROLLBACK")
            raise

    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Kill the query, over a connection of its own."""
        thread = int(connection.connection.driver_connection.thread_id())  # type: ignore[union-attr]  # just connected

        def cancel() -> None:
            with suppress(*DATABASE_ERRORS), self.engine.connect() as other:
                other.exec_driver_sql(f"KILL QUERY {thread}")

        return cancel

    def translate_errors(self) -> AbstractContextManager[None]:
        """Turn the driver's errors into those of this package."""
        return translated()

    @contextmanager
    def exclusive(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold the server's user locks on the tables, through one connection of their own."""
        with self.connect() as connection:
            locks = by_lock((catalog.lock_key(connection, name), name) for name in names)
            with hold_locks(connection, locks, timeout=timeout) as lock:
                yield lock

    # -- describing --------------------------------------------------------------------------------------------------

    def describe(self, connection: Connection, name: str) -> Table:
        """Describe the table called ``name``: as it stands, or split at its first dot into database and table."""
        return catalog.describe(connection, name, mariadb=self._is_mariadb(connection))

    def sees_all_columns(self, connection: Connection, table: Table) -> bool:
        """Ask for all: columns without a privilege are in no list, and are an error here."""
        try:
            connection.exec_driver_sql(f"SELECT * FROM {self.qualified(table)} LIMIT 0").all()
        except SQLAlchemyError as error:
            if error_number(error) in NO_COLUMN_PRIVILEGE:
                return False
            raise
        return True

    def list_tables(self, connection: Connection) -> list[str]:
        """Name the tables of the default database, sorted; views and staging tables are left out."""
        return catalog.list_tables(connection)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows in batches through an unbuffered cursor."""
        return self._read(connection, table, columns, order_by)

    def _read(
        self, connection: Connection, table: Table, columns: Sequence[Column], order_by: Sequence[str], partition: str = ""
    ) -> Iterator[list[Row]]:
        expressions = ", ".join(read.selected(column, f"t.{self.quote(column.name)}") for column in columns)
        statement = f"SELECT {expressions} FROM {self.qualified(table)}{partition} AS t"
        if order_by:
            statement += f" ORDER BY {self.columns(order_by, 't')}"
        elif table.primary_key:
            # Otherwise an index that happens to have all the columns decides about the order.
            statement += " USE INDEX (PRIMARY)"
        return read.stream(connection, table, columns, statement)

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        return int(connection.exec_driver_sql(f"SELECT COUNT(*) FROM {self.qualified(table)}").scalar_one())

    # -- version 1 of the protocol -----------------------------------------------------------------------------------

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return the server's ``time_zone``; where that is the machine's, what the server tells of it."""
        return time_zone.default_time_zone(connection)

    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """Compute the version 1 hash inside the database; ``None`` where SHA1 or the exact text is not to be had.

        Another zone than UTC has to be an offset: a server may not know names, and its rules may be older than those here.
        """
        if not table.primary_key or not self._has_sha1(connection):
            return None
        if zone.is_utc or not any(column.kind is Kind.TIMESTAMP for column in columns):
            return self._chain_in_database(connection, table, columns)
        if zone.offset not in time_zone.OFFSETS:
            return None
        with time_zone.session_in(connection, zone.offset):
            return self._chain_in_database(connection, table, columns)

    def _chain_in_database(self, connection: Connection, table: Table, columns: Sequence[Column]) -> str | None:
        connection.exec_driver_sql("SET @sync_chain = ''")
        empty = True
        for partition in self._scanned(table, columns, mariadb=self._is_mariadb(connection)):
            # By its PRIMARY index, so that no other one that has all the columns decides about the order.
            source = f"{self.qualified(table)}{partition} USE INDEX (PRIMARY)"
            statement = version1.chain(columns, source, self.quote, mariadb=self._is_mariadb(connection))
            if statement is None:
                return None
            try:
                broken = connection.exec_driver_sql(statement).scalar()
            except SQLAlchemyError as error:
                if error_number(error) in MIXED_COLLATIONS:
                    return None
                raise
            if broken:
                return None
            empty = empty and broken is None
        return EMPTY if empty else str(connection.exec_driver_sql("SELECT @sync_chain").scalar_one())

    def _scanned(self, table: Table, columns: Sequence[Column], *, mariadb: bool) -> list[str]:
        """Return the PARTITION clauses of the parts of a table in the order in which existing servers scan them."""
        if not isinstance(table, MySQLTable) or not table.partitions:
            return [""]
        if mariadb and {column.name for column in columns} <= set(table.primary_key):
            return [""]  # it reads the index alone, through all partitions at once
        return [f" PARTITION ({self.quote(name)})" for name in table.partitions]

    def read_in_hash_order(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Iterator[list[Row]]:
        """Stream the rows partition after partition, in each as existing servers scan it."""
        order = self.hash_order(table)
        for partition in self._scanned(table, columns, mariadb=self._is_mariadb(connection)):
            yield from self._read(connection, table, columns, order, partition)

    def _has_sha1(self, connection: Connection) -> bool:
        """MySQL 9.6 moved SHA1 to a component that is not installed by default."""
        if self._sha1 is None:
            try:
                connection.exec_driver_sql("SELECT SHA1('')")
            except SQLAlchemyError as error:
                if error_number(error) not in NO_FUNCTION:
                    raise
                self._sha1 = False
            else:
                self._sha1 = True
        return self._sha1

    def hash_order(self, table: Table) -> Sequence[str]:
        """Name the columns of the PRIMARY index; none where existing servers follow the scan of another storage engine."""
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key, which version 1 of the protocol needs. Add one.")
        if isinstance(table, MySQLTable) and not table.keeps_key_order:
            return ()
        return table.primary_key

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that renders a value of :meth:`read`, never ``None``, as version 1 hashes it."""
        return version1.text_of(column, row)

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with bytes that are not UTF-8, or ``None``."""
        suspects = [column for column in columns if column.kind in (Kind.BINARY, Kind.GEOMETRY)]
        if not suspects:
            return None
        mariadb = self._is_mariadb(connection)
        values = (read.selected(column, self.quote(column.name)) for column in suspects)
        conditions = [read.not_utf8(value, mariadb=mariadb) for value in values]
        cases = " ".join(f"WHEN {condition} THEN {place}" for place, condition in enumerate(conditions))
        found = connection.exec_driver_sql(
            f"SELECT CASE {cases} END FROM {self.qualified(table)} WHERE ({') OR ('.join(conditions)}) LIMIT 1"
        ).scalar()
        return None if found is None else suspects[found]

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
        """Create an empty InnoDB table beside ``target``, with those of its columns and its types, and that primary key."""
        table = ddl.staging_table(target, columns, name, primary_key, temporary=temporary)
        statement = ddl.create_table(table, self.qualified(table), self.quote, indexes=indexes)
        connection.exec_driver_sql(statement)
        return table

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load rows by LOAD DATA LOCAL, or by multi-row INSERTs where that is not allowed."""
        return load.load(connection, staging, self.qualified(staging), self.quote, batches)

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a staging or work table, if it is there; for a temporary one, its user needs no privilege to DROP."""
        kind = "TEMPORARY TABLE" if isinstance(table, MySQLTable) and table.temporary else "TABLE"
        connection.exec_driver_sql(f"DROP {kind} IF EXISTS {self.qualified(table)}")

    def drop_if_empty(self, connection: Connection, table: Table) -> None:
        """Look and drop while the table is locked where the user may: a DROP ends a transaction, and its locks."""
        name = self.qualified(table)
        with suppress(SQLAlchemyError):  # the privilege is one of its own
            connection.exec_driver_sql(f"LOCK TABLES {name} WRITE")
        try:
            if self.describe(connection, str(table)) == table and self.is_empty(connection, table):
                connection.exec_driver_sql(f"DROP TABLE {name}")
        finally:
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql("UNLOCK TABLES")

    # -- merging -----------------------------------------------------------------------------------------------------

    @contextmanager
    def foreign_keys_off(self, connection: Connection, tables: Sequence[Table]) -> Iterator[None]:
        """Switch the session's foreign-key checks off, and back to what they were in any case."""
        before = int(connection.exec_driver_sql("SELECT @@SESSION.foreign_key_checks").scalar_one())
        connection.exec_driver_sql("SET SESSION foreign_key_checks = 0")
        try:
            yield
        finally:
            with suppress(SQLAlchemyError):
                connection.exec_driver_sql(f"SET SESSION foreign_key_checks = {before}")

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count rows whose foreign key points to nothing, in ``table`` and in the tables that refer to it."""
        return foreign_keys.count_orphans(connection, table, self.quote)

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the temporary table that lists the keys to change."""
        table = ddl.work_table(target, key, name)
        connection.exec_driver_sql(ddl.create_table(table, self.qualified(table), self.quote))
        return table

    def after_insert(self, connection: Connection, target: Table) -> None:
        """Do nothing: AUTO_INCREMENT follows the highest key by itself."""

    def comparable(self, column: Column, alias: str) -> str:
        """Return the column as an expression whose equality is equality of bytes."""
        name = f"{alias}.{self.quote(column.name)}"
        if column.kind is Kind.JSON:
            # MySQL compares its JSON type by meaning, by which 1 and 1.0 are the same.
            return self.as_bytes(f"CAST({name} AS CHAR)")
        return self.as_bytes(name) if column.kind is Kind.GEOMETRY else super().comparable(column, alias)

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a unique key would have had a value twice."""
        return error_number(error) == DUPLICATE

    def is_constraint(self, error: BaseException) -> bool:
        """Whether an error says that a key, a NOT NULL, a foreign key or a CHECK would have been broken."""
        return error_number(error) in BROKEN_CONSTRAINTS

    def as_bytes(self, expression: str) -> str:
        """Return an expression that compares text by its bytes, whatever the collation."""
        return f"CAST({expression} AS BINARY)"

    def absent(self, key: Sequence[Column], alias: str) -> str:
        """Take another operator where the key is a date: ``IS NULL`` finds ``0000-00-00`` too, for the sake of ODBC."""
        if key[0].kind in (Kind.DATE, Kind.DATETIME):
            return f"{alias}.{self.quote(key[0].name)} <=> NULL"
        return super().absent(key, alias)

    def same(self, column: Column, left: str, right: str) -> str:
        """Return a condition: the column is the same in both, NULL equal to NULL, text by bytes."""
        return f"{self.comparable(column, left)} <=> {self.comparable(column, right)}"

    def looked_up(self, table: Table, alias: str, key: Sequence[str]) -> str:
        """Name the index to use: after a crash the server may believe that the table is empty, and read all of it each time."""
        unique = (("PRIMARY", table.primary_key), *((unique.name, unique.columns) for unique in table.unique_keys))
        index = next((name for name, columns in unique if columns and set(columns) <= set(key)), None)
        return super().looked_up(table, alias, key) + (f" FORCE INDEX ({self.quote(index)})" if index else "")

    def removed_rows(self, target: Table, removed: Table, key: Sequence[Column]) -> str:
        """Return the join in the order in which only the listed rows are looked up."""
        target_rows = self.looked_up(target, "t", [column.name for column in key])
        return f"{self.qualified(removed)} AS r STRAIGHT_JOIN {target_rows} ON {self.match(key, 't', 'r')}"

    def delete_listed(self, target: Table, work: Table, key: Sequence[Column], op: Op = Op.DELETE) -> str:
        """Return the statement that deletes the rows of ``target`` that ``work`` lists under ``op``."""
        # The join order is given, so that only listed rows are looked up, and locked, in the target.
        target_rows = self.looked_up(target, "t", [column.name for column in key])
        return (
            f"DELETE t FROM {self.qualified(work)} AS w STRAIGHT_JOIN {target_rows}"
            f" ON {self.match(key, 't', 'w')} WHERE w.{OP} = '{op}'"
        )

    def rename_listed(self, target: Table, staging: Table, work: Table, key: Sequence[Column]) -> str:
        """Return the statement that writes the keys of the rows listed under ``K`` as they are staged; the rows stay."""
        return self._assigned(target, staging, work, key, [column.name for column in key], Op.RENAME)

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
        return self._assigned(target, staging, work, key, columns, op)

    def _assigned(self, target: Table, staging: Table, work: Table, key: Sequence[Column], columns: Sequence[str], op: Op) -> str:
        assignments = ", ".join(f"t.{self.quote(name)} = s.{self.quote(name)}" for name in columns)
        names = [column.name for column in key]
        found = self.equal(key, "t", "w") if op is Op.RENAME else self.match(key, "t", "w")
        return (
            f"UPDATE {self.qualified(work)} AS w"
            f" STRAIGHT_JOIN {self.looked_up(staging, 's', names)} ON {self.match(key, 's', 'w')}"
            f" STRAIGHT_JOIN {self.looked_up(target, 't', names)} ON {found} SET {assignments} WHERE w.{OP} = '{op}'"
        )
