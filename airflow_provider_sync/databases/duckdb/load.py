"""Load rows into DuckDB."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.load import Loader
from airflow_provider_sync.databases.duckdb.text import logical_type
from airflow_provider_sync.databases.duckdb.text_load import insert_lines, load_blocks
from airflow_provider_sync.databases.duckdb.value_load import text_blocks
from airflow_provider_sync.databases.schema import Row, Table
from airflow_provider_sync.databases.table_slice import CanonicalColumn


class DuckDBLoader(Loader):
    """Lets DuckDB read lines of text, which is faster than its appender for rows in text form.

    ``docs/explanation/decisions/duckdb.md`` has the times.
    """

    def load_text(
        self,
        connection: Connection,
        staging: Table,
        columns: Sequence[CanonicalColumn],
        blocks: Iterable[bytes],
        *,
        is_digested: bool = False,
    ) -> int:
        """Load lines of canonical texts; see :func:`.text_load.load_blocks`."""
        insert = insert_lines(self.database, staging, columns, is_digested=is_digested)
        return load_blocks(connection, staging, insert, len(columns), blocks)

    def load(self, connection: Connection, staging: Table, batches: Iterable[Sequence[Row]]) -> int:
        """Load values as the canonical texts of the columns' own types."""
        columns = [CanonicalColumn(column=column, type=logical_type(column)) for column in staging.columns]
        return self.load_text(connection, staging, columns, text_blocks(staging, batches))
