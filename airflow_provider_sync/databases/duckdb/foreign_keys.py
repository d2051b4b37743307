"""Handle DuckDB's foreign keys during a merge: they stay on, and DuckDB checks them after each statement."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.schema import Table


class DuckDBForeignKeys(ForeignKeys):
    """Leaves the checks on; the messages of :mod:`.errors` say what to do about a violation."""

    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Do nothing: DuckDB cannot switch the checks off."""
        return nullcontext()

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Return no counts: DuckDB never allows orphans."""
        return {}
