"""Rows into SQLite."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.load import Loader
from airflow_provider_sync.databases.schema import Column, Row, Table
from airflow_provider_sync.databases.sqlite.key_forms import adopt_keys
from airflow_provider_sync.databases.sqlite.session import INSERT_INTO
from airflow_provider_sync.databases.sqlite.text_load import load_blocks
from airflow_provider_sync.databases.sqlite.value_load import load_rows
from airflow_provider_sync.databases.table_slice import CanonicalColumn


class SQLiteLoader(Loader):
    """Inserts exactly what came, or refuses it."""

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Insert exactly what came, or refuse it; see :func:`.value_load.load_rows`."""
        return load_rows(connection, staging, self._insert(staging, staging.columns), batches)

    def load_text(
        self,
        connection: Connection,
        staging: Table,
        columns: Sequence[CanonicalColumn],
        blocks: Iterable[bytes],
        *,
        is_digested: bool = False,
    ) -> int:
        """Insert exactly what came, or refuse it; see :func:`.text_load.load_blocks`."""
        insert = self._insert(staging, [column.column for column in columns])
        return load_blocks(connection, staging, insert, columns, blocks)

    def _insert(self, staging: Table, columns: Sequence[Column]) -> str:
        names = self.columns([column.name for column in columns])
        return f"{INSERT_INTO} {self.qualified(staging)} ({names}) VALUES ({', '.join('?' * len(columns))})"

    def adopt_keys(self, connection: Connection, target: Table, staging: Table, key: Sequence[CanonicalColumn]) -> None:
        """See :func:`.key_forms.adopt_keys`."""
        columns = [column.column for column in key]
        adopt_keys(connection, self.qualified(target), self.qualified(staging), columns, self.quote)
