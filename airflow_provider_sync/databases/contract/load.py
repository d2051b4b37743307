"""Bulk-load rows into a staging table or an empty target, by the fastest way that the server allows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Row, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn


class Loader(DatabaseComponent):
    """Loads rows in bulk."""

    @abstractmethod
    def load_text(
        self,
        connection: Connection,
        staging: Table,
        columns: Sequence[CanonicalColumn],
        blocks: Iterable[bytes],
        *,
        is_digested: bool = False,
    ) -> int:
        """Load TSV of canonical texts into a staging table by the fastest way that the server allows.

        Each block contains whole lines. As in :meth:`load`, a value that the column would change is an error.

        :param columns: columns of the staging table with the types of the source, in the order of the text's fields
        :param is_digested: whether the caller compares digests of the stored and the received rows. Values of a column's own type
            then need no check here, since only a faulty server sends one that the column would change
        :return: rows loaded
        :raises TableError: naming the table, the column where it is known, and the reason
        """

    def adopt_keys(  # most databases store a key in one form only
        self, connection: Connection, target: Table, staging: Table, key: Sequence[CanonicalColumn]
    ) -> None:
        """Rewrite staged keys to the form in which the target stores keys with the same canonical text."""

    @abstractmethod
    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load rows of values in the order of the table's columns, by the fastest way that the server allows.

        Values are those of :meth:`.Reader.read`, from any engine. A value that the column would change (a decimal cut, a text
        shortened, a date zeroed, a NULL replaced) is an error.

        :return: rows loaded
        :raises TableError: naming the table, the column where it is known, and the reason
        """
