"""Support version 1 of the protocol: hash a whole table, and find values that JSON cannot carry."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Row, Table, Value
from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.time_zones import UTC, TimeZone


class Version1(DatabaseComponent):
    """Hashes tables as existing servers do, in the database or from streamed rows."""

    keeps_instants: ClassVar[bool] = True
    """Whether the text of a TIMESTAMP column depends on the session's time zone; false if it is stored as text."""

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return the time zone of sessions that set none, which existing servers and clients use.

        :return: an offset or an IANA name; ``None`` if there is none, or if its rules are unknown
        """
        return None

    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """Compute the version 1 hash inside the database; ``None`` (the default) if that is impossible or not exact.

        Each hash of the chain depends on the previous one, so the database needs a way to carry it from row to row.

        :param zone: time zone in which timestamptz values are rendered
        """
        return None

    def hash_order(self, table: Table) -> Sequence[str]:
        """Return the names of the columns by which existing servers order rows for the version 1 hash: the primary key's.

        :raises TableError: if the table has no primary key
        """
        if not table.primary_key:
            raise TableError(f"Table {str(table)!r} has no primary key, so its rows have no order to hash them in. Add one.")
        return table.primary_key

    def read_in_hash_order(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Iterator[list[Row]]:
        """Stream the rows as :meth:`.Reader.read` does, in the order of the version 1 hash.

        :raises TableError: if the table has no primary key
        """
        return self.database.reader.read(connection, table, columns, order_by=self.hash_order(table))

    @abstractmethod
    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that renders a value from :meth:`.Reader.read`, except ``None``, as version 1 hashes it.

        :param row: all columns that are hashed; if one is binary, text is hashed in its stored encoding
        """

    def hash_column(self, column: Column, row: Sequence[Column]) -> Callable[[Sequence[Value]], Iterable[bytes]]:
        """Return the function that renders one column of a batch as version 1 hashes it, NULL included.

        Engines override it where they can render a whole column faster than one value at a time.
        """
        render = self.hash_text(column, row)

        def render_all(values: Sequence[Value]) -> Iterable[bytes]:
            if None in values:
                return [NULL if value is None else render(value) for value in values]
            return map(render, values)

        return render_all

    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with a value that JSON cannot carry (bytes that are not UTF-8, infinity), or ``None``.

        Only columns whose type allows such values are searched, one by one; engines override this if one search covers all.
        """
        with self.database.translate_errors():
            return next((column for column in columns if self.has_unsendable(connection, table, column)), None)

    def has_unsendable(self, connection: Connection, table: Table, column: Column) -> bool:
        """Whether a column has a value that JSON cannot carry."""
        if (condition := self.unsendable(column, self.quote(column.name))) is None:
            return False
        statement = f"SELECT EXISTS (SELECT 1 FROM {self.relation(table)} AS t WHERE {condition})"
        return bool(connection.exec_driver_sql(statement).scalar_one())

    def unsendable(self, column: Column, name: str) -> str | None:
        """Return the condition that a value cannot be sent, as far as SQL can decide; ``None`` if all values can be sent.

        :param name: the quoted name of the column
        """
        return None
