"""Create, change and drop tables: staging tables, work tables, and targets that do not exist yet or lack columns."""

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
    """Rolls back a transaction that only tests whether its statements work."""


class WidenedColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a target that will get a wider type.

    :ivar column: the column before the change
    :ivar sql_type: the wider type
    """

    column: Column
    sql_type: str


class StagingLayout(msgspec.Struct, frozen=True, kw_only=True):
    """The columns, key and indexes of a target's staging table.

    :ivar columns: columns of the target, in the order of the staging table
    :ivar primary_key: names of the columns that identify a row
    :ivar indexes: names of other columns that each get an index
    """

    target: Table
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    indexes: tuple[str, ...] = ()

    @property
    def keys(self) -> StagingLayout:
        """The layout of a table with only the key columns."""
        columns = {column.name: column for column in self.columns}
        return StagingLayout(
            target=self.target, columns=tuple(columns[name] for name in self.primary_key), primary_key=self.primary_key
        )


class Ddl(DatabaseComponent):
    """Creates, changes and drops tables."""

    table_options: ClassVar[str] = ""
    """SQL that follows the column list of a CREATE TABLE."""

    rolls_back: ClassVar[bool] = True
    """Whether a rollback undoes CREATE TABLE and CREATE INDEX."""

    def alike(self, name: str) -> str:
        """Normalize a column name: two names that this database treats as one become equal. By default, ignore ASCII case."""
        return name.translate(_LOWER)

    @abstractmethod
    def sql_type(self, logical: LogicalType, *, key: bool) -> str:
        """Return the SQL type, for a column of a new target, that holds every value of a logical type, if this database has one.

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
        """Return the CREATE TABLE for the columns that the source describes, with percent signs doubled as the driver needs.

        :param name: name of the new table; may be ``schema.table``
        :param key: names of the primary key's columns
        :param defaults: SQL of defaults, by column
        :param comments: SQL of comments, by column
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
        """Run a CREATE TABLE, and undo it.

        :param name: name of the new table, as :meth:`quoted_name` accepts it
        :raises SQLAlchemyError: if the database refuses the statement
        """
        with suppress(_TakenBack), self.database.transaction(connection):
            connection.exec_driver_sql(statement)
            raise _TakenBack

    def wider_type(self, column: Column, logical: LogicalType, *, key: bool) -> str | None:
        """Return the SQL type to which a column of a target can be widened without loss.

        :param logical: a type that holds all values of the column, and more; see :func:`.wider_types.wider_type`
        :param key: whether the column is part of the primary key
        :return: ``None`` if the column already has this type, or cannot be changed to it
        """
        return None

    def change_columns(
        self, connection: Connection, table: Table, added: Sequence[ColumnDescription], widened: Sequence[WidenedColumn]
    ) -> None:
        """Add columns to a target and widen others: all of them or, after an error, none.

        Added columns allow NULL, since the existing rows have no value yet.

        :param added: columns of the source, with their names in the target
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
        """Return the SQL that follows a column's name when it is added to a target."""
        return self.definition(self.sql_type(column.type, key=False), required=False)

    @abstractmethod
    def create_staging(self, connection: Connection, layout: StagingLayout, *, name: str, temporary: bool = False) -> Table:
        """Create an empty staging table in the schema of its target.

        It has the layout's columns with the target's types, and a primary key, but no defaults, identity columns, generated
        columns, foreign keys or triggers.
        """

    def change_key_statements(  # the default for a database without such a statement
        self, connection: Connection, table: Table, key: Sequence[str]
    ) -> tuple[str, ...]:
        """Return the statements with which users change a table's primary key; empty if the database has no such statements."""
        return ()

    def drop(self, connection: Connection, table: Table) -> None:
        """Drop a table if it exists; it is an error if the database finds dependent objects."""
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {self.qualified(table)}")

    def drop_targets(self, connection: Connection, tables: Sequence[Table]) -> None:
        """Drop targets that the source no longer has: all of them or, if the database can undo a DROP, none.

        :param tables: each after the tables that depend on it
        :raises TableError: naming a table that cannot be dropped
        """
        with self.database.transaction(connection):
            for table in tables:
                with naming_table(str(table)), self.database.translate_errors():
                    self.drop(connection, table)

    def drop_if_empty(self, connection: Connection, table: Table) -> None:
        """Drop a table that a failed sync created, unless it has rows or was replaced since.

        :param table: description of the table right after its creation
        """
        with self.database.transaction(connection):
            self.lock_whole(connection, table)
            unchanged = self.database.catalog.describe(connection, str(table)) == table
            if unchanged and self.database.reader.is_empty(connection, table):
                self.drop(connection, table)

    @contextmanager
    def without_indexes(self, connection: Connection, table: Table) -> Iterator[None]:
        """Remove the indexes of an empty table that this run created while rows are loaded, if that is faster and nobody uses it.

        Sorting all rows once takes less time than inserting each into the index.

        :param connection: inside a transaction, which undoes everything if it fails
        :raises TableError: when the rows violate a unique key
        """
        statements = self.set_indexes_aside(connection, table)
        yield
        for statement in statements:
            with self.database.translate_errors():
                connection.exec_driver_sql(statement)

    def set_indexes_aside(self, connection: Connection, table: Table) -> list[str]:  # most databases keep their indexes
        """Drop the indexes that :meth:`without_indexes` removes, and return the statements that create them again."""
        return []

    def lock_whole(self, connection: Connection, table: Table) -> None:  # a transaction of SQLite locks the whole database
        """Keep other sessions from writing to ``table`` until the transaction ends."""

    @abstractmethod
    def create_work_table(self, connection: Connection, target: Table, key: Sequence[str], *, name: str) -> Table:
        """Create the temporary table that lists the keys to change.

        The first column is :data:`~.schema.OP`, one character, with a value of :class:`~.schema.Op`. The key columns follow,
        with their types and collations in ``target``. All columns together are the primary key.
        """
