"""Load rows into MySQL and MariaDB, as values and as canonical texts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.load import Loader
from airflow_provider_sync.databases.mysql import text_load, value_load
from airflow_provider_sync.databases.mysql.load_data import send
from airflow_provider_sync.databases.schema import Row, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn


class MySQLLoader(Loader):
    """Loads by LOAD DATA LOCAL, or by multi-row INSERTs where that is not allowed."""

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load rows by LOAD DATA LOCAL, or by multi-row INSERTs where that is not allowed."""
        return send(
            connection,
            staging,
            self.qualified(staging),
            [(self.quote(column.name), value_load.decoding(column)) for column in staging.columns],
            ends=value_load.ENDS,
            blocks=value_load.blocks(staging, batches),
            literals=value_load.literals(staging, batches),
        )

    def load_text(
        self,
        connection: Connection,
        staging: Table,
        columns: Sequence[CanonicalColumn],
        blocks: Iterable[bytes],
        *,
        is_digested: bool = False,
    ) -> int:
        """Load TSV unchanged by LOAD DATA LOCAL, or by multi-row INSERTs where that is not allowed."""
        return send(
            connection,
            staging,
            self.qualified(staging),
            [(self.quote(column.column.name), text_load.decoding(column)) for column in columns],
            ends=text_load.ENDS,
            blocks=text_load.checked_blocks(staging, columns, blocks),
            literals=text_load.literals(staging, columns, blocks),
        )
