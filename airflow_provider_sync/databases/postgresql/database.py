"""PostgreSQL, reached by psycopg 3 or psycopg2. How its catalogs, values, COPY and errors look is in the modules beside."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from typing import Any

from sqlalchemy import Connection, Engine

from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.locks import TableLock, by_lock
from airflow_provider_sync.databases.postgresql import constraints, foreign_keys, references, sequences
from airflow_provider_sync.databases.postgresql.catalog import describe_table
from airflow_provider_sync.databases.postgresql.digests import PostgreSQLCanonical
from airflow_provider_sync.databases.postgresql.errors import (
    DRIVER_ERRORS,
    EXCLUSION_VIOLATION,
    FOREIGN_KEY_VIOLATION,
    UNIQUE_VIOLATION,
    sqlstate,
    translated,
)
from airflow_provider_sync.databases.postgresql.load import copy_rows
from airflow_provider_sync.databases.postgresql.locks import hold_locks
from airflow_provider_sync.databases.postgresql.pooler import Pooler, behind_pooler, keeps_sessions
from airflow_provider_sync.databases.postgresql.read import FAILED, IDLE, fetch
from airflow_provider_sync.databases.postgresql.session import read_as_utf8, set_for_pooler, set_session
from airflow_provider_sync.databases.postgresql.unsendable import has_unsendable
from airflow_provider_sync.databases.postgresql.version1 import Convert, converter, hashed, selected
from airflow_provider_sync.databases.schema import OP, STAGING_PREFIX, Column, Kind, Op, Row, Table, Value
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ConfigurationError, MissingTableError, TableError
from airflow_provider_sync.time_zones import UTC, TimeZone

_DRIVERS = ("psycopg", "psycopg2")
_TEMPORARY = "pg_temp"
_ANALYZE_ROWS = 1_000

_AS_TEXT = frozenset({Kind.JSON, Kind.OTHER})
"""Kinds without an ``=``, or whose ``=`` calls different texts the same."""

_ORDERED_AS_THEY_ARE = re.compile(
    r"(inet|cidr|macaddr8?|interval|time|xid8|pg_lsn|bit varying|bit|int[48]range|numrange|tsrange|tstzrange|daterange)"
    r"( ?\(\d+\))?( with time zone)?"
)
"""Types that only PostgreSQL has, and whose order depends neither on a collation nor on a version of one."""

_ORDERED_BY_BYTES = frozenset({'pg_catalog."C"', 'pg_catalog."POSIX"', "pg_catalog.ucs_basic"})


class PostgreSQLDatabase(PostgreSQLCanonical):
    """PostgreSQL 13 and newer.

    **Hashes.** Values are written as MySQL would, so that equal content has an equal version 1 hash on PostgreSQL, MySQL
    and MariaDB, as long as both ends have the same columns in the same order and

    - timestamps have equally many digits of a second (PostgreSQL has 6 unless told otherwise, MySQL 0), and the same type;
    - decimals have a scale: ``numeric`` alone keeps the digits of each value;
    - single precision numbers agree in 6 digits, all that MySQL shows;
    - JSON is text on one of the ends: MySQL and ``jsonb`` each rearrange it in their own way;
    - keys that are text are sorted by bytes there (``utf8mb4_bin``), as they are here. The collation of the column does not
      count, since it depends on the machine's libraries.

    **Foreign keys** are switched off by ``session_replication_role = replica``, which also switches off ordinary triggers,
    rules, and the checks of deferrable unique keys. The merge promises that triggers fire and unique keys hold: so the role
    is used only when some table of the merge has foreign keys, and none has such a trigger, rule or constraint. Otherwise,
    and where the role may not, foreign keys stay on, deferred to the commit where they are deferrable; the merge's order,
    parents before children, satisfies most others. What then is broken is an error with the constraint and the grant.
    """

    family = "postgresql"
    # A column GENERATED ALWAYS AS IDENTITY takes no value of ours without.
    overriding = "OVERRIDING SYSTEM VALUE "

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        if engine.dialect.driver not in _DRIVERS:
            raise ConfigurationError(
                f"PostgreSQL driver {engine.dialect.driver!r} is not supported. Use postgresql+psycopg:// or postgresql+psycopg2://."
            )
        read_as_utf8(engine)
        self._pooler = Pooler()

    # -- connections -------------------------------------------------------------------------------------------------

    def prepare_session(self, connection: Connection) -> None:
        """Set a fresh connection's session: see :mod:`.session`."""
        if self._pooler.found is None:
            self._pooler.found = behind_pooler(connection)
        if self._pooler.found and not self._pooler.keeps_sessions:
            set_for_pooler(connection)
        else:
            set_session(connection, self.session)

    def require_session(self) -> None:
        """See that no pooler hands servers on after each transaction.

        :raises ConfigurationError: where one does
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

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        """Open a connection inside a read-only REPEATABLE READ transaction."""
        with self.connect() as connection, self._between(connection, "ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield connection

    @contextmanager
    def transaction(self, connection: Connection) -> Iterator[None]:
        """Begin a READ COMMITTED transaction in which all that is deferrable is checked at the commit."""
        with self._between(connection, "ISOLATION LEVEL READ COMMITTED READ WRITE"):
            connection.exec_driver_sql("SET CONSTRAINTS ALL DEFERRED")
            yield

    def canceller(self, connection: Connection) -> Callable[[], None]:
        """Have the driver ask the server, over a connection of its own."""
        driver = _driver(connection)

        def cancel() -> None:
            with suppress(*DRIVER_ERRORS):
                if not driver.closed:
                    driver.cancel()

        return cancel

    def translate_errors(self) -> AbstractContextManager[None]:
        """Translate by SQLSTATE; the message is the server's primary one, without its detail."""
        return translated()

    @contextmanager
    def exclusive(self, names: Sequence[str], *, timeout: float) -> Iterator[TableLock]:
        """Hold advisory locks on the tables' schemas and names, over one connection of their own."""
        with self.connect() as connection:
            self._require_session(connection)
            locks = by_lock((self._lock_key(connection, name), name) for name in names)
            with hold_locks(connection, locks, timeout=timeout) as lock:
                yield lock

    def _lock_key(self, connection: Connection, name: str) -> str:
        """Return schema and name of a table, or of the one that would be made under this name."""
        readings = list(self._readings(name))
        for schema, table in readings:
            quoted = f"{self.quote(schema)}.{self.quote(table)}" if schema else self.quote(table)
            found = connection.exec_driver_sql(
                "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
                " WHERE c.oid = to_regclass(%s) AND c.relname = %s",
                (_undoubled(quoted), table),
            ).scalar()
            if found is not None:
                return f"{found}.{table}"
        schema, table = readings[-1] if readings else (None, name)
        return f"{schema or connection.exec_driver_sql('SELECT current_schema()').scalar()}.{table}"

    # -- describing --------------------------------------------------------------------------------------------------

    def describe(self, connection: Connection, name: str) -> Table:
        """Describe a plain or partitioned table; one without a schema is looked for in the search path."""
        with self.translate_errors():
            for schema, table in self._readings(name):
                quoted = f"{self.quote(schema)}.{self.quote(table)}" if schema else self.quote(table)
                found = describe_table(connection, _undoubled(quoted), name=table, schema=schema)
                if found is not None:
                    return found
        raise MissingTableError(
            f"There is no table {name!r} that this role sees. Name it as it is written in the database, as schema.table"
            " where its schema is not in the search path, and check the role's privileges."
        )

    @staticmethod
    def _readings(name: str) -> Iterator[tuple[str | None, str]]:
        """Yield schema and table that ``name`` may mean."""
        if not name or "\0" in name:
            return
        yield None, name
        schema, dot, table = name.partition(".")
        if dot and schema and table:
            yield schema, table

    def list_tables(self, connection: Connection) -> list[str]:
        """Name the tables of the current schema; partitions are left out too."""
        with self.translate_errors():
            names = connection.exec_driver_sql(
                "SELECT relname::text FROM pg_class WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))"
                " AND relkind IN ('r', 'p') AND NOT relispartition AND NOT starts_with(relname::text, %s)",
                (STAGING_PREFIX,),
            ).scalars()
            return sorted(names)

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """See :meth:`Database.read`.

        Text keys are sorted by bytes (``COLLATE "C"``), whatever their collation: see the class. A batch has fewer rows
        where rows are wide, so that it stays near 8 MB. Outside of a transaction the read opens its own.
        """
        expressions = ", ".join(selected(column, self.quote(column.name)) for column in columns)
        statement = f"SELECT {expressions} FROM {self.qualified(table)} AS t"
        with self.translate_errors():
            if order_by:
                by_bytes = self._sorts_by_bytes(connection)
                statement += " ORDER BY " + ", ".join(self._sorted(table.column(name), by_bytes) for name in order_by)
            converters = [(place, convert) for place, column in enumerate(columns) if (convert := converter(column)) is not None]
            with closing(fetch(_driver(connection), _undoubled(statement))) as batches:
                for rows in batches:
                    yield _converted(rows, converters) if converters else rows

    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""
        with self.translate_errors():
            return int(connection.exec_driver_sql(f"SELECT count(*) FROM {self.qualified(table)}").scalar_one())

    # -- version 1 of the protocol -----------------------------------------------------------------------------------

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return what server, database or role set before this session set its own."""
        setting = "SELECT reset_val FROM pg_settings WHERE name = 'TimeZone'"
        return str(connection.exec_driver_sql(setting).scalar_one())

    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """Return ``None``: see :meth:`hash_text`."""
        # Each link of the chain needs the one before: only a recursive query or an aggregate of one's own could do it, and
        # both take longer than reading the rows.
        return None

    def hash_order(self, table: Table) -> Sequence[str]:
        """Name the primary key's columns."""
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key, so its rows have no order to hash them in. Add one.")
        return table.primary_key

    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return what writes a value as MySQL would; text is UTF-8 whatever else is in the row."""
        return hashed(column)

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Look for bytes that are not UTF-8, for infinity and NaN, and for dates that no other engine has."""
        with self.translate_errors():
            for column in columns:
                if has_unsendable(connection, column, name=self.quote(column.name), table=self.qualified(table)):
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
        """See :meth:`Database.create_staging`. A permanent one is UNLOGGED: a crash of the server empties it."""
        schema = _TEMPORARY if temporary else target.schema
        staging = Table(name=name, schema=schema, columns=tuple(columns), primary_key=tuple(primary_key))
        definitions = [self._definition(column) + ("" if column.nullable else " NOT NULL") for column in columns]
        definitions.append(f"PRIMARY KEY ({self.columns(primary_key)})")
        with self.translate_errors():
            connection.exec_driver_sql(
                f"CREATE {'TEMPORARY' if temporary else 'UNLOGGED'} TABLE {self.qualified(staging)} ({', '.join(definitions)})"
            )
            for column in indexes:
                connection.exec_driver_sql(f"CREATE INDEX ON {self.qualified(staging)} ({self.quote(column)})")
        return staging

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load by one COPY, of which all rows stay or none; the planner then learns what has arrived."""
        with self.translate_errors():
            rows = copy_rows(_driver(connection), staging, _undoubled(self._copy_statement(staging)), batches)
            if rows >= _ANALYZE_ROWS:
                connection.exec_driver_sql(f"ANALYZE {self.qualified(staging)}")
        return rows

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a staging or work table, if it is there."""
        with self.translate_errors():
            super().drop(connection, table)

    def lock_whole(self, connection: Connection, table: Table) -> None:
        """Keep everybody else from the table until the transaction ends."""
        with self.translate_errors():
            connection.exec_driver_sql(f"LOCK TABLE {self.qualified(table)}")

    # -- merging -----------------------------------------------------------------------------------------------------

    def foreign_keys_off(self, connection: Connection, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Switch foreign keys off, or defer them: see the class."""
        return foreign_keys.switched_off(connection, tables, self.qualified)

    def references_kept(self, connection: Connection, changes: Sequence[ListedChanges]) -> AbstractContextManager[None]:
        """Look at what refers to the rows that change, where foreign keys stay on; see :mod:`.references`."""
        remedy = foreign_keys.stays_on(connection)
        if remedy is None or not any(change.target.foreign_keys for change in changes):
            return nullcontext()
        return references.kept(self, connection, changes, remedy)

    def written_last(self, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
        """Look for rings of foreign keys, where they stay on."""
        if len(changes) < 2 or foreign_keys.stays_on(connection) is None:
            return super().written_last(connection, changes)
        return references.written_last(self, connection, changes)

    def merged_together(self, names: Sequence[str]) -> list[list[int]]:
        """Group the tables between which there are foreign keys that this role cannot switch off."""
        with self.connect() as connection:
            found: dict[int, Table] = {}
            for number, name in enumerate(names):
                with suppress(TableError):
                    found[number] = self.describe(connection, name)
            bound = {number: table for number, table in found.items() if table.foreign_keys}
            if len(bound) < 2:
                return super().merged_together(names)
            with foreign_keys.switched_off(connection, list(bound.values()), self.qualified):
                if foreign_keys.stays_on(connection) is None:
                    return super().merged_together(names)
            return references.joined(self, connection, bound, len(names))

    def fingerprint(self, connection: Connection, table: Table) -> object:
        """Return how many rows of the table this transaction has changed, as the server counts them."""
        return constraints.touched(connection, _undoubled(self.qualified(table)))

    def why_not_replace(self, connection: Connection, change: ListedChanges) -> str | None:
        """Look for rows that refer to those, too, where foreign keys stay on."""
        if (reason := super().why_not_replace(connection, change)) or not change.target.foreign_keys:
            return reason
        if foreign_keys.stays_on(connection) is None:
            return None
        constraint = references.references_to_listed(self, connection, change, Op.REPLACE)
        return constraint and f"rows refer to them by {constraint}"

    def let_identities_change(self, connection: Connection, target: Table, columns: Sequence[Column]) -> bool:
        """Make the columns GENERATED BY DEFAULT, which the table's owner may."""
        name = (_undoubled(self.qualified(target)),)
        owned = "SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = to_regclass(%s)"
        if not connection.exec_driver_sql(owned, name).scalar():
            return False
        self._alter_identities(connection, target, columns, "BY DEFAULT")
        return True

    def fix_identities(self, connection: Connection, target: Table, columns: Sequence[Column]) -> None:
        """Make the columns GENERATED ALWAYS again; what is still to be checked would be in the way."""
        connection.exec_driver_sql("SET CONSTRAINTS ALL IMMEDIATE")
        self._alter_identities(connection, target, columns, "ALWAYS")

    def _alter_identities(self, connection: Connection, target: Table, columns: Sequence[Column], generated: str) -> None:
        changes = ", ".join(f"ALTER COLUMN {self.quote(column.name)} SET GENERATED {generated}" for column in columns)
        connection.exec_driver_sql(f"ALTER TABLE {self.qualified(target)} {changes}")

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count the rows without the row that they refer to, for each constraint in either direction."""
        with self.translate_errors():
            return foreign_keys.orphans(connection, _undoubled(self.qualified(table)))

    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the table in the session's temporary schema; it outlives commits."""
        op = Column(name=OP, kind=Kind.CHAR, sql_type="character(1)", nullable=False, length=1)
        columns = (op, *(target.column(column) for column in key))
        work = Table(name=name, schema=_TEMPORARY, columns=columns, primary_key=(OP, *key))
        definitions = ", ".join(f"{self._definition(column)} NOT NULL" for column in columns)
        with self.translate_errors():
            connection.exec_driver_sql(
                f"CREATE TEMPORARY TABLE {self.qualified(work)} ({definitions}, PRIMARY KEY ({self.columns(work.primary_key)}))"
                " ON COMMIT PRESERVE ROWS"
            )
        return work

    def after_insert(self, connection: Connection, target: Table) -> None:
        """Move the sequences of serial and identity columns forward, never back."""
        with self.translate_errors():
            sequences.move_past_keys(connection, _undoubled(self.qualified(target)))

    def comparable(self, column: Column, alias: str) -> str:
        """Return the column itself where its ``=`` is equality of bytes, else its text."""
        # `=` is equality of bytes for all other text: columns whose collation says otherwise are described as OTHER. A
        # comparison by text beside it would make the planner expect far fewer rows than there are.
        name = f"{alias}.{self.quote(column.name)}"
        by_text = column.kind in _AS_TEXT or (column.kind is Kind.DECIMAL and column.scale is None)
        return self.as_bytes(name) if by_text else name

    def is_duplicate(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a unique key would have had a value twice."""
        return sqlstate(error) in (UNIQUE_VIOLATION, EXCLUSION_VIOLATION)

    def is_constraint(self, error: BaseException) -> bool:
        """Whether the state is one of the class "integrity constraint violation"."""
        return (sqlstate(error) or "").startswith("23")

    def is_orphan(self, error: BaseException) -> bool:
        """Whether an error of the driver says that a row would have referred to nothing."""
        return sqlstate(error) == FOREIGN_KEY_VIOLATION

    def as_bytes(self, expression: str) -> str:
        """Return the text under the collation ``C``."""
        return f'({expression})::text COLLATE "C"'

    def parameter(self, column: Column, value: Value) -> Value:
        """Give booleans and bits as text, which is read as the column's type; they are not compared with numbers."""
        if column.kind is Kind.BIT:
            return format(value, f"0{column.length}b")
        return str(value) if column.kind is Kind.BOOLEAN else value

    def match(self, key: Sequence[Column], left: str, right: str) -> str:
        """Return equality of the keys, with that of their bytes where it says more."""
        conditions = [self.equal(key, left, right)]
        conditions += [
            f"{self.comparable(column, left)} = {self.comparable(column, right)}" for column in key if column.kind in _AS_TEXT
        ]
        return " AND ".join(conditions)

    # -- parts -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _between(self, connection: Connection, mode: str) -> Iterator[None]:
        """Run what follows inside a transaction."""
        with self.translate_errors():
            connection.exec_driver_sql(f"BEGIN {mode}")
            driver = _driver(connection)
            try:
                if self._pooler.found and not self._pooler.keeps_sessions:
                    set_session(connection, self.session, local=True)
                yield
                if driver.info.transaction_status == FAILED:
                    # COMMIT would roll back without a word.
                    raise TableError(
                        "A statement of the transaction failed, and the error was passed over.", NOTHING_CHANGED
                    ).anonymously()
                connection.exec_driver_sql("COMMIT")
            except BaseException:
                # Below SQLAlchemy, which would open another connection where this one is gone.
                if not driver.closed and driver.info.transaction_status != IDLE:
                    with driver.cursor() as cursor:
                        cursor.execute("ROLLBACK")
                raise

    def _sorts_by_bytes(self, connection: Connection) -> bool:
        """Whether text without a collation of its own sorts by bytes in this database, and its indexes with it."""
        return bool(
            connection.exec_driver_sql(
                "SELECT CASE coalesce(to_jsonb(d) ->> 'datlocprovider', 'c')"
                " WHEN 'c' THEN datcollate IN ('C', 'POSIX') WHEN 'b' THEN true ELSE false END"
                " FROM pg_database d WHERE datname = current_database()"
            ).scalar_one()
        )

    def _sorted(self, column: Column, by_bytes: bool) -> str:
        # With the table's alias: the plain name would be that of the text which is selected.
        name = f"t.{self.quote(column.name)}"
        if column.kind in _AS_TEXT:
            ordered = column.kind is Kind.OTHER and _ORDERED_AS_THEY_ARE.fullmatch(column.sql_type)
            return name if ordered else self.as_bytes(name)
        if column.kind not in (Kind.TEXT, Kind.CHAR):
            return name
        already = by_bytes if column.collation is None else column.collation in _ORDERED_BY_BYTES
        return name if already else f'{name} COLLATE "C"'

    def _definition(self, column: Column) -> str:
        """Write name, type and collation: the same as the target's, or a join between the two could not choose one."""
        # Type and collation come quoted by the server, and so without the doubled percent signs that the driver expects.
        kind = column.sql_type + (f" COLLATE {column.collation}" if column.collation else "")
        return f"{self.quote(column.name)} {kind.replace('%', '%%')}"

    def _copy_statement(self, table: Table) -> str:
        return f"COPY {self.qualified(table)} ({self.columns(column.name for column in table.columns)}) FROM STDIN"


def _driver(connection: Connection) -> Any:
    """Return the connection of psycopg or psycopg2 below SQLAlchemy's."""
    return connection.connection.driver_connection


def _undoubled(statement: str) -> str:
    """Take back the doubling of percent signs, for statements that go to a cursor, or as a parameter."""
    return statement.replace("%%", "%")


def _converted(rows: Sequence[tuple[Any, ...]], converters: Sequence[tuple[int, Convert]]) -> list[Row]:
    """Apply each converter to the column at its place."""
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, convert in converters:
        columns[place] = convert(columns[place])
    return list(zip(*columns, strict=True))
