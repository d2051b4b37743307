"""Creating, changing and dropping tables: staging tables, work tables, and targets that do not exist yet or lack columns."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from string import ascii_lowercase, ascii_uppercase
from typing import ClassVar

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.protocol.v2.messages import ColumnDescription
from airflow_provider_sync.protocol.v2.types import LogicalType

_LOWER = str.maketrans(ascii_uppercase, ascii_lowercase)


class _TakenBack(Exception):
    """Rolls back a transaction that only asks whether its statements work."""


class WidenedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a target that is to get a wider type.

    :ivar column: as it is
    :ivar sql_type: the wider type
    """

    column: Column
    sql_type: str


class StagingLayout(msgspec.Struct, frozen=True, kw_only=True):
    """What a staging table of a target consists of.

    :ivar columns: columns of the target, in the order of the staging table
    :ivar primary_key: names of the columns that identify a row
    :ivar indexes: names of further columns that each get an index
    """

    target: Table
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[str, ...] = ()

    @property
    def keys(self) -> StagingLayout:
        """The layout of a table that has only the keys of these rows."""
        columns = {column.name: column for column in self.columns}
        return StagingLayout(
            target=self.target, columns=tuple(columns[name] for name in self.primary_key), primary_key=self.primary_key
        )


class Ddl(DatabaseComponent):
    """Creates, changes and drops tables."""

    table_options: ClassVar[str] = ""
    """SQL that follows the column list of a CREATE TABLE."""

    rolls_back: ClassVar[bool] = True
    """Whether a transaction that is rolled back takes the tables and indexes with it that were made in it."""

    def alike(self, name: str) -> str:
        """Return what names of columns have in common that this database takes for one: those that differ by ASCII case."""
        return name.translate(_LOWER)

    @abstractmethod
    def sql_type(self, logical: LogicalType, *, key: bool) -> str:
        """Return the SQL type of a column in a new target that holds every value of a logical type, where this database has one.

        :param key: whether the column is part of the primary key
        """

    def definition(self, sql_type: str, *, required: bool) -> str:
        """Return the SQL that follows a column's name in the CREATE TABLE of a new target.

        :param required: whether the column is NOT NULL
        """
        return f"{sql_type}{' NOT NULL' if required else ''}"

    def create_table_statement(
        self,
        name: str,
        columns: Sequence[ColumnDescription],
        key: Sequence[str],
        *,
        defaults: Mapping[str, str] | None = None,
        comments: Mapping[str, str] | None = None,
        constraints: Sequence[str] = (),
        options: str = "",
    ) -> str:
        """Return the CREATE TABLE for the columns that the source describes, as the driver takes it.

        :param name: name of the new table; may be ``schema.table``
        :param key: names of the primary key's columns
        :param defaults: SQL of the default of each column that has one
        :param comments: SQL of the comment of each column that has one
        :param constraints: SQL of foreign keys and indexes
        :param options: SQL at the end of the statement
        """
        defaults, comments = defaults or {}, comments or {}
        definitions = []
        key_names = frozenset(key)
        for column in columns:
            in_key = column.name in key_names
            required = in_key or not column.nullable
            sql_type = self.sql_type(column.type, key=in_key)
            definition = self.definition(sql_type, required=required)
            if default := defaults.get(column.name):
                definition = f"{definition.partition(' DEFAULT ')[0]} {default}"
            comment = f" {comments[column.name]}" if column.name in comments else ""
            definitions.append(f"{self.database.quote(column.name)} {definition}{comment}")
        definitions.append(f"PRIMARY KEY ({self.database.columns(key)})")
        definitions += constraints
        return f"CREATE TABLE {self.quoted_name(name)} ({', '.join(definitions)}){self.table_options}{options}"

    def quoted_name(self, name: str) -> str:
        """Quote the name of a new table; a dot separates its schema (on MySQL: its database) from the table."""
        return ".".join(map(self.database.quote, name.split(".", 1)))

    def try_create(self, connection: Connection, name: str, statement: str) -> None:
        """Run a CREATE TABLE, and take it back.

        :param name: of the new table, as :meth:`quoted_name` takes it
        :raises SQLAlchemyError: what the database has against it
        """
        with suppress(_TakenBack), self.database.transaction(connection):
            connection.exec_driver_sql(statement)
            raise _TakenBack

    def wider_type(self, column: Column, logical: LogicalType, *, key: bool) -> str | None:
        """Return the SQL type to which a column of a target can be widened without loss.

        :param logical: a type that holds all values of the column, and more; see :func:`.wider_types.wider_type`
        :param key: whether the column is part of the primary key
        :return: ``None`` if the column has this type already, or cannot be changed to it
        """
        return None

    def change_columns(
        self, connection: Connection, table: Table, added: Sequence[ColumnDescription], widened: Sequence[WidenedColumn]
    ) -> None:
        """Add columns to a target and widen others: all of them or, after an error, none.

        An added column may be NULL, since the rows that are there have no value yet.

        :param added: columns of the source, by their names in the target
        """
        with self.database.transaction(connection):
            for action in self.change_actions(added, widened):
                connection.exec_driver_sql(f"ALTER TABLE {self.qualified(table)} {action}")

    def change_actions(self, added: Sequence[ColumnDescription], widened: Sequence[WidenedColumn]) -> list[str]:
        """Return the actions of an ALTER TABLE that add columns and widen others."""
        return [
            *(f"ADD COLUMN {self.quote(column.name)} {self.added_type(column)}" for column in added),
            *(f"ALTER COLUMN {self.quote(entry.column.name)} TYPE {entry.sql_type}" for entry in widened),
        ]

    def added_type(self, column: ColumnDescription) -> str:
        """Return the SQL that follows a column's name where it is added to a target."""
        return self.definition(self.sql_type(column.type, key=False), required=False)

    @abstractmethod
    def create_staging(self, connection: Connection, layout: StagingLayout, *, name: str, temporary: bool = False) -> Table:
        """Create an empty staging table in the schema of its target.

        It has some of the target's columns with their types, and a primary key; no defaults, identity columns, generated
        columns, foreign keys or triggers.
        """

    def change_key_statements(  # what a database without such a statement has
        self, connection: Connection, table: Table, key: Sequence[str]
    ) -> tuple[str, ...]:
        """Return the statements by which a user changes the primary key of a table; none where the database has none."""
        return ()

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a table if it exists and, as far as the database checks that, nothing depends on it."""
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.qualified(table)}")

    def drop_targets(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Drop tables that the source has no longer: all of them or, as far as the database can do that, none.

        :param tables: each after those that need it
        :raises TableError: naming a table
        """
        with self.database.transaction(connection):
            for table in tables:
                with naming_table(str(table)), self.database.translate_errors():
                    self.drop(connection, table)

    def drop_if_empty(self, connection: Connection, table: Table) -> None:
        """Drop a table that a failed sync created, unless it has rows or was replaced since.

        :param table: its description right after it was created
        """
        with self.database.transaction(connection):
            self.lock_whole(connection, table)
            unchanged = self.database.catalog.describe(connection, str(table)) == table
            if unchanged and self.database.reader.is_empty(connection, table):
                self.drop(connection, table)

    @contextmanager
    def without_indexes(self, connection: Connection, table: Table) -> Iterator[None]:
        """Let an empty table that this run has made lack its indexes while rows are loaded, if that is faster and nobody uses it.

        To sort all rows once takes less time than to find the place of each.

        :param connection: inside a transaction, which takes all of it back if it fails
        :raises TableError: when the rows break a unique key
        """
        statements = self.set_indexes_aside(connection, table)
        yield
        for statement in statements:
            with self.database.translate_errors():
                connection.exec_driver_sql(statement)

    def set_indexes_aside(self, connection: Connection, table: Table) -> list[str]:  # most databases keep them
        """Drop what :meth:`without_indexes` makes again, and return the statements for that."""
        return []

    def lock_whole(self, connection: Connection, table: Table) -> None:  # a transaction of SQLite locks the whole database
        """Lock ``table`` against writes of other sessions until the transaction ends."""

    @abstractmethod
    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the temporary table that lists the keys to change.

        Its first column is :data:`~.schema.OP`, one character, with a value of :class:`~.schema.Op`. The key's columns follow,
        with their types and collations in ``target``. All columns together are its primary key.
        """
