"""Open a table of the configuration in a snapshot, and resolve its columns and its key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.databases.session_rules import check_all_rows_seen
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.sources import Sources


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A table of the configuration, and the snapshot from which it is read.

    :ivar source: its configuration
    :ivar connection: the connection with the snapshot
    :ivar table: its description from the database
    """

    source: SourceTable
    database: Database
    connection: Connection
    table: Table

    def offered_columns(self) -> Sequence[Column]:
        """Return the columns that are offered, in the order of the table: those that are configured, or all.

        Invisible columns are included; columns that the database sets for system versioning are not.

        :raises TableError: when the configuration names a missing column, or names none and some are hidden from the user
        """
        if self.source.columns:
            return self.named_columns()
        self._check_all_seen()
        return [column for column in self.table.columns if not column.system]

    def star_columns(self) -> Sequence[Column]:
        """Return the columns that version 1 sends: those that are configured, or what ``SELECT *`` has.

        :raises TableError: when the configuration names a missing column, or names none and some are hidden from the user
        """
        if self.source.columns:
            return self.named_columns()
        self._check_all_seen()
        return self.table.visible

    def _check_all_seen(self) -> None:
        if not self.database.catalog.sees_all_columns(self.connection, self.table):
            raise TableError(
                f"Table {self.source.name!r} has columns that the source's user may not read, and which would be left out"
                " silently. Grant SELECT on the whole table, or name the columns to offer with `columns` in the server's"
                " configuration."
            )

    def named_columns(self) -> Sequence[Column]:
        """Return the columns that the configuration names, in the order of the table.

        :raises TableError: when one does not exist
        """
        self.check_names("columns", self.source.columns)
        return [column for column in self.table.columns if column.name in self.source.columns]

    def key(self, columns: Sequence[Column]) -> Sequence[str]:
        """Return the names of the columns that identify a row: the configured key, or the table's primary key.

        :param columns: the columns to send
        :raises TableError: when there is no key, or not all of it is sent
        """
        key = self.source.primary_key or self.table.primary_key
        if not key:
            raise TableError(
                f"Table {self.source.name!r} has no primary key. Name the columns that identify a row with `primary` in the"
                f" server's configuration."
            )
        self.check_names("primary", key)
        sent = {column.name for column in columns}
        if missing := [name for name in key if name not in sent]:
            raise TableError(
                f"Table {self.source.name!r} would be sent without the column {missing[0]!r} of its key. Add it to `columns` in"
                f" the server's configuration."
            )
        return key

    def check_names(self, option: str, names: Sequence[str]) -> None:
        """Check that the table has the columns that an option of the configuration names.

        :raises TableError: when one does not exist
        """
        known = {column.name for column in self.table.columns}
        for name in names:
            if name not in known:
                raise TableError(
                    f"Table {self.source.name!r} has no column {name!r}, which `{option}` names in the server's configuration."
                    f" Its columns are {', '.join(sorted(known))}."
                )


@contextmanager
def open_table(sources: Sources, source: SourceTable, active: ActiveRequest) -> Iterator[OpenTable]:
    """Open a snapshot of the table's database and describe the table; the snapshot is closed at the end of the block.

    :param active: the request that reads it; if it ends early, the running statement of the snapshot is cancelled
    :raises TableError: when there is no such table, or row security hides rows
    :raises TransportError: when the database does not answer
    """
    database = sources.database(source)
    with database.snapshot() as connection, active.cancels(database.canceller(connection)):
        yield find_table(database, connection, source)


def find_table(database: Database, connection: Connection, source: SourceTable) -> OpenTable:
    """Describe a table of the configuration in an open snapshot.

    :raises TableError: when there is no such table, or row security hides rows
    """
    table = database.catalog.describe(connection, source.table_name)
    check_all_rows_seen(table, source.name, allowed=source.allow_row_security)
    return OpenTable(source, database, connection, table)
