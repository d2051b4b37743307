"""Foreign keys of DuckDB around a merge: they stay on, and each statement is checked at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.foreign_keys import ForeignKeys
from airflow_provider_sync.databases.schema import Table


class DuckDBForeignKeys(ForeignKeys):
    """Leaves the checks on; :mod:`.errors` says what to do when they refuse a merge."""

    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Do nothing: DuckDB has no switch."""
        return nullcontext()

    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Return none: DuckDB has never let any in."""
        return {}
