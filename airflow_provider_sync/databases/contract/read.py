"""Read rows, as values for version 1 and as canonical texts for version 2."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Row, Table
from airflow_provider_sync.databases.table_slice import Keys, TableSlice

BATCH_ROWS = 5_000
"""Rows per batch: enough that the cost per batch is negligible, and only a few MB in memory."""


class Reader(DatabaseComponent):
    """Reads rows. No method keeps more than one batch in memory."""

    @abstractmethod
    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows as TSV of canonical texts (:mod:`airflow_provider_sync.protocol.v2.tsv`).

        :param keys: read only the rows with these keys, compared by bytes; ``None`` for all rows of the table slice
        :return: blocks of a few hundred KB: number of rows, and their lines
        """

    @abstractmethod
    def read(
        self, connection: Connection, table: Table, columns: Sequence[Column], *, order_by: Sequence[str] = ()
    ) -> Iterator[list[Row]]:
        """Stream the rows in batches of at most :data:`BATCH_ROWS`, never more than one batch in memory.

        Values are what version 1 calls the JSON value of a column: ``int`` for integers, booleans and bits, ``float``
        for doubles, ``str`` for decimals with their scale, dates and times as MySQL writes them, text, enums, JSON;
        ``bytes`` for binary columns; ``None``. FLOAT comes as ``float`` with 6 significant digits, a zero-filled
        integer as padded ``str``, CHAR without trailing spaces, timestamptz in UTC.

        :param connection: usually one of :meth:`~.base.Database.snapshot`
        :param order_by: columns to sort by, as the database sorts them
        """

    def renew_snapshot(self, connection: Connection, names: Collection[str] = (), queries: Collection[str] = ()) -> None:
        """Have an open snapshot see the state of now, and keep what will be read where it is until the snapshot ends.

        By default it does nothing: no other table can take the place of one that a snapshot sees, or :meth:`check_snapshot` finds
        that.

        :param names: tables and views that will be read, as :meth:`.Catalog.describe` takes them
        :param queries: queries that will be read
        :raises TableBusyError: if one of them is locked for too long
        """

    def check_snapshot(self, connection: Connection, table: Table) -> None:
        """Check that the open snapshot shows the rows of a table, a view or a query, and will until it ends.

        By default every snapshot does.

        :raises TableBusyError: if rows that were committed before the snapshot are gone from it, as TRUNCATE takes them away
        """

    @abstractmethod
    def count(self, connection: Connection, table: Table) -> int:
        """Count the rows."""

    def find_null(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first of the columns that holds NULL in any row, or ``None``; NOT NULL columns are skipped."""
        for column in columns:
            missing = self.database.is_null(f"t.{self.quote(column.name)}")
            statement = f"SELECT 1 FROM {self.relation(table)} AS t WHERE {missing} LIMIT 1"
            if column.nullable and connection.exec_driver_sql(statement).first() is not None:
                return column
        return None

    def has_duplicates(self, connection: Connection, table: Table, key: Sequence[Column]) -> bool:
        """Whether several of the rows that count (:attr:`.Table.ended_at`) have the same key, compared by bytes.

        Reads all keys; where :meth:`.Table.has_unique` rules duplicates out, there is no need to. NULL counts as a value.
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
        """Whether :meth:`fingerprint` also changes with what other sessions commit."""
        return self.database.sees_commits
