"""Describe the tables of a database. No rows are read here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.dependents import Dependent
from airflow_provider_sync.databases.found_details import FoundDetails
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.protocol.v2.types import LogicalType


class Catalog(DatabaseComponent):
    """Describes tables."""

    @abstractmethod
    def logical_type(self, column: Column) -> LogicalType | None:
        """Return the logical type of a column; ``None`` if version 2 cannot carry it."""

    @abstractmethod
    def describe(self, connection: Connection, name: str, *, views: bool = False) -> Table:
        """Describe a table.

        :param name: first taken as the name of a table; if there is none, split at the first dot into schema and table
        :param views: whether a view will do, which can only be read: its columns are described, and keys if it has any
        :raises MissingTableError: if there is no such table
        :raises TableError: if it is a view, and views are not allowed
        """

    def describe_many(self, connection: Connection, names: Collection[str], *, views: bool = False) -> Mapping[str, Table]:
        """Describe tables by a few statements, as far as the database describes them faster so than one by one.

        Those that are left out, for whatever reason, are left to :meth:`describe`.

        :param names: each as :meth:`describe` takes it
        :return: tables by these names
        """
        return {}

    @abstractmethod
    def places_of(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return schema and name of tables, or of those that would be made under these names.

        ``schema.name`` means the same table over every connection to the server.

        :param names: each as :meth:`describe` takes it
        """

    def estimated_rows(self, connection: Connection, tables: Sequence[Table]) -> list[int]:
        """Return the rows of tables as the statistics have them, which may be far off; 0 where nothing is known."""
        return [0] * len(tables)

    def sees_all_columns(self, connection: Connection, table: Table) -> bool:
        """Whether :meth:`describe` lists every column; some databases hide those that the user may not read."""
        return True

    def has_unseen_triggers(self, connection: Connection, table: Table) -> bool:
        """Whether triggers use other tables that :meth:`describe` does not list, since the user may not see them.

        :param connection: in a transaction, foreign keys switched off
        """
        return False

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """Return what a table has besides its columns and its key: indexes, foreign keys, defaults and comments."""
        return FoundDetails(untold=((None, "indexes, foreign keys, defaults and comments of this kind of database"),))

    def table_comment(self, connection: Connection, table: Table) -> str | None:
        """Return the comment of a table, if it has one."""
        return self.table_details(connection, table).comment

    @abstractmethod
    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """Return the sorted names of the tables in a schema that the user may read, without views and staging tables.

        :param schema: ``None`` for the default one; none are in a schema that does not exist
        """

    @abstractmethod
    def list_views(self, connection: Connection) -> list[str]:
        """Return the sorted names of the views in the default schema that the user may read, materialized ones too."""

    @abstractmethod
    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """Return what else in the database breaks when a table is dropped: foreign keys, views, triggers of other tables.

        What cannot be ruled out counts.
        """
