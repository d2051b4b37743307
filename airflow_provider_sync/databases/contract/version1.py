"""What only version 1 of the protocol needs: the hash of a whole table, and values that JSON cannot carry."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Row, Table, Value
from airflow_provider_sync.protocol.v1 import NULL
from airflow_provider_sync.time_zones import UTC, TimeZone


class Version1(DatabaseComponent):
    """Hashes tables as existing servers do, or prepares what is needed to do so from streamed rows."""

    keeps_instants: ClassVar[bool] = True
    """Whether columns of the kind TIMESTAMP hold instants, whose text depends on a time zone, and not just text."""

    def default_time_zone(self, connection: Connection) -> str | None:
        """Return the time zone of sessions that set none, as existing servers and clients leave it: an offset or an IANA name.

        :return: ``None`` if there is none, or if its rules are not known
        """
        return None

    @abstractmethod
    def hash_in_database(
        self, connection: Connection, table: Table, columns: Sequence[Column], zone: TimeZone = UTC
    ) -> str | None:
        """Compute the version 1 hash inside the database; ``None`` if that is not possible or not exact.

        :param zone: in which instants are rendered
        """

    @abstractmethod
    def hash_order(self, table: Table) -> Sequence[str]:
        """Name the columns by which rows are ordered for the version 1 hash, as existing servers order them.

        :raises TableError: when the table has no primary key
        """

    def read_in_hash_order(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Iterator[list[Row]]:
        """Stream the rows as :meth:`.Reader.read` does, in the order in which the version 1 hash takes them.

        :raises TableError: when the table has no primary key
        """
        return self.database.reader.read(connection, table, columns, order_by=self.hash_order(table))

    @abstractmethod
    def hash_text(self, column: Column, row: Sequence[Column]) -> Callable[[Value], bytes]:
        """Return the function that renders a value of :meth:`.Reader.read`, never ``None``, as version 1 hashes it.

        :param row: all columns that are hashed; a binary one among them changes how text goes in
        """

    def hash_column(self, column: Column, row: Sequence[Column]) -> Callable[[Sequence[Value]], Iterable[bytes]]:
        """Return the function that renders one column of a batch as version 1 hashes it, NULL included.

        Engines override it if they can render a whole column faster than value by value.
        """
        render = self.hash_text(column, row)

        def render_all(values: Sequence[Value]) -> Iterable[bytes]:
            if None in values:
                return [NULL if value is None else render(value) for value in values]
            return map(render, values)

        return render_all

    @abstractmethod
    def find_unsendable(self, connection: Connection, table: Table, columns: Sequence[Column]) -> Column | None:
        """Return the first column with a value that JSON cannot carry (bytes that are not UTF-8, infinity), or ``None``.

        Only columns whose type allows such values are searched.
        """
