"""Read rows: values for version 1, canonical texts for version 2."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Row, Table
from airflow_provider_sync.databases.table_slice import Keys, TableSlice

BATCH_ROWS = 5_000
"""Rows per batch: enough to make the cost per batch negligible, but only a few MB in memory."""


class Reader(DatabaseComponent):
    """Reads rows. No method keeps more than one batch in memory."""

    @abstractmethod
    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows as TSV of canonical texts (:mod:`airflow_provider_sync.protocol.v2.tsv`).

        :param keys: read only the rows with these keys, compared by bytes; ``None`` for all rows of the table slice
        :return: blocks of a few hundred KB, each as number of rows and their lines
        """

    @abstractmethod
    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows in batches of at most :data:`BATCH_ROWS`, never more than one batch in memory.

        Values are the JSON values of version 1: ``int`` for integers, booleans and bits; ``float`` for doubles; ``str`` for
        decimals with their scale, dates and times as MySQL writes them, text, enums and JSON; ``bytes`` for binary columns;
        ``None`` for NULL. A FLOAT is a ``float`` with 6 significant digits, a zero-filled integer a padded ``str``, a CHAR has
        no trailing spaces, and a timestamptz is in UTC.

        :param connection: usually one of :meth:`~.base.Database.snapshot`
        :param order_by: columns to sort by, in the database's sort order
        """

    def renew_snapshot(self, connection: Connection, names: Collection[str] = (), queries: Collection[str] = ()) -> None:
        """Make an open snapshot see the current state, and keep the tables to read from being replaced until it ends.

        Does nothing by default, for engines on which no other table can replace one that a snapshot sees, or on which
        :meth:`check_snapshot` detects it.

        :param names: tables and views to read, as :meth:`.Catalog.describe` accepts them
        :param queries: queries to read
        :raises TableBusyError: if another session locks one of the tables for too long
        """

    def check_snapshot(self, connection: Connection, table: Table) -> None:
        """Check that the open snapshot shows all rows of a table, a view or a query, and will until it ends.

        Does nothing by default, for engines whose snapshots always do.

        :raises TableBusyError: if the snapshot lacks rows that were committed before it, for example after a TRUNCATE
        """

    def blocks_writers(self, connection: Connection) -> bool:
        """Whether nobody can write to the database while the open snapshot lasts; such a snapshot waits for no client."""
        return False

    @abstractmethod
    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""

    def find_null(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first of the columns that is NULL in any row, or ``None``; NOT NULL columns are skipped."""
        for column in columns:
            missing = self.database.is_null(f"t.{self.quote(column.name)}")
            statement = f"SELECT 1 FROM {self.relation(table)} AS t WHERE {missing} LIMIT 1"
            if column.nullable and connection.exec_driver_sql(statement).first() is not None:
                return column
        return None

    def has_duplicates(self, connection: Connection, table: Table, key: Sequence[Column]) -> bool:
        """Whether several current rows (see :attr:`.Table.ended_at`) have the same key, compared by bytes.

        Reads all keys; unnecessary if :meth:`.Table.has_unique` rules duplicates out. NULL counts as a value.
        """
        by_bytes = ", ".join(self.database.statements.comparable(column, "t") for column in key)
        statement = f"SELECT 1 FROM {self.database.current_rows(table)} GROUP BY {by_bytes} HAVING COUNT(*) > 1 LIMIT 1"
        return connection.exec_driver_sql(statement).first() is not None

    def is_empty(self, connection: Connection, table: Table) -> bool:
        """Whether a table has no rows."""
        return connection.exec_driver_sql(f"SELECT 1 FROM {self.qualified(table)} LIMIT 1").first() is None

    def fingerprint(self, connection: Connection, table: Table) -> object:
        """Return a value that changes whenever the open transaction of ``connection`` changes the table."""
        digest = sha256()
        for rows in self.read(connection, table, table.columns, order_by=table.primary_key):
            for row in rows:
                digest.update(repr(row).encode(errors="surrogatepass"))
        return digest.digest()

    def fingerprints_commits(self, connection: Connection) -> bool:
        """Whether commits of other sessions also change :meth:`fingerprint`."""
        return self.database.sees_commits
