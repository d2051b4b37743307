"""Open a configured table in a snapshot, and resolve its columns and its key."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from sqlalchemy import Connection

from airflow_provider_sync.config import SourceTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.held_snapshot import HeldSnapshot
from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.tables.source_relation import check_all_columns_seen, describe_source, errors_of

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class OpenTable:
    """A configured table, and the snapshot from which it is read.

    :ivar source: the table's configuration
    :ivar connection: the connection with the snapshot
    :ivar table: the offered table: the database's description after ``where`` and ``mask``
    """

    source: SourceTable
    database: Database
    connection: Connection
    table: Table

    def offered_columns(self) -> Sequence[Column]:
        """Return the offered columns in the order of the table: the configured ones, or all.

        Invisible columns are included; columns that the database sets for system versioning are not.

        :raises TableError: when the configuration names a missing column, or names none and some are hidden from the user
        """
        if self.source.columns:
            return self.named_columns()
        check_all_columns_seen(self.database, self.connection, self.source, self.table)
        return [column for column in self.table.columns if not column.system]

    def star_columns(self) -> Sequence[Column]:
        """Return the columns that version 1 sends: the configured ones, or those of ``SELECT *``.

        :raises TableError: when the configuration names a missing column, or names none and some are hidden from the user
        """
        if self.source.columns:
            return self.named_columns()
        check_all_columns_seen(self.database, self.connection, self.source, self.table)
        return self.table.visible

    def named_columns(self) -> Sequence[Column]:
        """Return the columns that the configuration names, in the order of the table.

        :raises TableError: when one does not exist
        """
        self.check_names("columns", self.source.columns)
        return [column for column in self.table.columns if column.name in self.source.columns]

    def masking_errors(self, items: Iterable[Item]) -> Generator[Item, None, None]:
        """Yield items that are read lazily, and remove values that the client may not see from errors."""
        with errors_of(self.database, self.source, self.table):
            yield from items

    def key(self, columns: Sequence[Column]) -> Sequence[str]:
        """Return the names of the columns that identify a row: the configured key, or the table's primary key.

        :param columns: the columns to send
        :raises TableError: when there is no key, or not all of it is sent
        """
        key = self.source.primary_key or self.table.primary_key or self.table.former_key
        if not key:
            what = "is a view, which has no primary key" if self.table.is_view else "has no primary key"
            raise TableError(
                f"Table {self.source.name!r} {what}. Name the columns that identify a row with `primary` in the server's"
                " configuration."
            )
        self.check_names("primary", key)
        sent = {column.name for column in columns}
        if missing := [name for name in key if name not in sent]:
            raise TableError(
                f"Table {self.source.name!r} would be sent without the column {missing[0]!r} of its key. Add it to `columns` in"
                f" the server's configuration."
            )
        return key

    def check_key(self, key: Sequence[Column]) -> None:
        """Check that a key identifies rows; without a unique index, this reads all keys.

        :raises TableError: when a value is NULL, or several rows have the same key
        """
        masked = [column.name for column in key if column.name in self.source.mask]
        column = self.database.reader.find_null(self.connection, self.table, key)
        if column is not None and column.name in masked:
            raise TableError(
                f"Table {self.source.name!r} has rows without a value in {column.name!r}, a column of its key, as `mask` changes"
                " it. Mask it by `hash`, or name another key with `primary` in the server's configuration."
            )
        if column is not None:
            raise TableError(
                f"Table {self.source.name!r} has rows without a value in {column.name!r}, a column of its key. Give them one, or"
                f" name another key with `primary` in the server's configuration."
            )
        unique = self.table.has_unique([column.name for column in key])
        if not unique and self.database.reader.has_duplicates(self.connection, self.table, key):
            names = ", ".join(column.name for column in key)
            if masked:
                raise TableError(
                    f"Table {self.source.name!r} has several rows with the same {names}, its key, as `mask` changes"
                    f" {masked[0]!r}. Mask it by `hash`, or name another key with `primary` in the server's configuration."
                )
            raise TableError(
                f"Table {self.source.name!r} has several rows with the same {names}, which `primary` names as its key in the"
                f" server's configuration. Name columns whose values together identify a row."
            )

    def check_names(self, option: str, names: Sequence[str]) -> None:
        """Check that the table has the columns that an option of the configuration names.

        :raises TableError: when one does not exist
        """
        known = {column.name for column in self.table.columns}
        for name in names:
            if name not in known:
                raise TableError(
                    f"Table {self.source.name!r} has no column {name!r}, which `{option}` names in the server's configuration."
                    f"{did_you_mean(name, known)} Its columns: {', '.join(sorted(known))}."
                )


def names_and_queries(sources: Sequence[SourceTable]) -> tuple[list[str], list[str]]:
    """Return the arguments for :meth:`.Reader.renew_snapshot`: the names of tables and views, and the offered queries."""
    names = [source.table_name for source in sources if not source.query]
    return names, [source.query for source in sources if source.query]


@contextmanager
def open_table(
    sources: Sources,
    source: SourceTable,
    active: ActiveRequest,
    held: HeldSnapshot | None = None,
    described: Callable[[SourceTable, Connection], Table | None] = lambda *_: None,
) -> Iterator[OpenTable]:
    """Open a table in a new snapshot of its database, and describe what is offered; close the snapshot at the end of the block.

    :param active: the current request; if it is ended early, the running statement of the snapshot is cancelled
    :param held: a held snapshot to read instead of a new one; it stays open
    :param described: returns the database's description of the table, or ``None`` if unknown
    :raises TableError: if the table does not exist, or row security hides rows
    :raises TransportError: if the database does not answer
    :raises TooManyScans: if too many other requests read the database
    """
    with (
        active.reads(sources.url(source)),
        active.lock_waits.waiting(sources.database(source).watched_by(active)) as database,
        database.snapshot() if held is None else held.reading(database) as connection,
        find_table(
            database, source, connection, sources.mask_key, described(source, connection), is_held=held is not None
        ) as opened,
    ):
        yield opened


@contextmanager
def find_table(
    database: Database,
    source: SourceTable,
    connection: Connection,
    mask_key: str,
    described: Table | None = None,
    *,
    is_held: bool = False,
) -> Iterator[OpenTable]:
    """Open a configured table in an open snapshot, which may be renewed for that.

    Errors of the block do not contain values that the client may not see.

    :param mask_key: the server's secret for columns that are masked by ``hash``
    :param described: the database's description of the table, if known
    :param is_held: whether other requests read the snapshot, too
    :raises TableError: if the table does not exist, row security hides rows, or the snapshot is older than the table
    """
    with errors_of(database, source):
        if not is_held:
            database.reader.renew_snapshot(connection, *names_and_queries([source]))
        table = describe_source(database, connection, source, mask_key, described)
        database.reader.check_snapshot(connection, table)
        with errors_of(database, source, table):
            yield OpenTable(source, database, connection, table)
