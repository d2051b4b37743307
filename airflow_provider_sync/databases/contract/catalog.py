"""Describe the tables of a database. No rows are read here."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Mapping, Sequence

from sqlalchemy import Connection, inspect

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

        :param name: the whole name of a table; if there is no such table, split at the first dot into schema and table
        :param views: whether views are accepted, which can only be read: their columns, and keys if they have any, are described
        :raises MissingTableError: if there is no such table
        :raises TableError: if it is a view, and views are not allowed
        """

    def describe_many(self, connection: Connection, names: Collection[str], *, views: bool = False) -> Mapping[str, Table]:
        """Describe tables with a few statements, if the database does that faster than one by one.

        The result may lack tables, for any reason; the caller calls :meth:`describe` for those.

        :param names: table names as :meth:`describe` accepts them
        :return: tables by these names
        """
        return {}

    @abstractmethod
    def places_of(self, connection: Connection, names: Sequence[str]) -> list[tuple[str, str]]:
        """Return schema and name of tables; for tables that do not exist, where they would be created.

        ``schema.name`` refers to the same table over every connection to the server.

        :param names: table names as :meth:`describe` accepts them
        """

    def has_schema_of(self, connection: Connection, name: str) -> bool:
        """Whether the schema exists in which a table of this name would be created."""
        [(schema, _)] = self.places_of(connection, [name])
        return schema.lower() in {found.lower() for found in inspect(connection).get_schema_names()}

    def estimated_rows(self, connection: Connection, tables: Sequence[Table]) -> list[int]:
        """Return the numbers of rows of tables by the database's statistics, which may be far off; 0 if unknown."""
        return [0] * len(tables)

    def sees_all_columns(self, connection: Connection, table: Table) -> bool:
        """Whether :meth:`describe` lists every column; some databases hide those that the user may not read."""
        return True

    def has_unseen_triggers(self, connection: Connection, table: Table) -> bool:
        """Whether the table has triggers that use other tables and that :meth:`describe` does not list, for lack of a privilege.

        :param connection: in a transaction, foreign keys switched off
        """
        return False

    def table_details(self, connection: Connection, table: Table) -> FoundDetails:
        """Return the details of a table besides columns and key: indexes, foreign keys, defaults and comments."""
        return FoundDetails(untold=((None, "indexes, foreign keys, defaults and comments of this kind of database"),))

    def table_comment(self, connection: Connection, table: Table) -> str | None:
        """Return the comment of a table; ``None`` if it has none."""
        return self.table_details(connection, table).comment

    @abstractmethod
    def list_tables(self, connection: Connection, schema: str | None = None) -> list[str]:
        """Return the sorted names of the tables in a schema that the user may read, without views and staging tables.

        :param schema: ``None`` for the default schema; the result is empty for a schema that does not exist
        """

    @abstractmethod
    def list_views(self, connection: Connection) -> list[str]:
        """Return the sorted names of the views in the default schema that the user may read, including materialized views."""

    @abstractmethod
    def find_dependents(self, connection: Connection, table: Table) -> tuple[Dependent, ...]:
        """Return the objects that break when a table is dropped: other tables with foreign keys or triggers, and views.

        An object that might break is included.
        """
