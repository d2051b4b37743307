"""What a database says of its tables. No rows are read."""

from __future__ import annotations

from abc import abstractmethod

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.protocol.v2.types import LogicalType


class Catalog(DatabaseComponent):
    """Describes tables."""

    @abstractmethod
    def logical_type(self, column: Column) -> LogicalType | None:
        """Return the type of one of this database's columns; ``None`` for one that version 2 cannot carry."""

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
