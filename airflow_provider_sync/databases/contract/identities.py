"""Handle identity columns and sequences during a merge.

The defaults do nothing: they suit engines whose counters follow the highest key automatically.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.schema import Column, Table


class IdentityColumns(DatabaseComponent):
    """Allows writes to identity columns, and advances their sequences."""

    def allow_updates(self, connection: Connection, target: Table, columns: Sequence[Column]) -> bool:
        """Allow updates of columns that are :attr:`~.schema.Column.insert_only`; call it before any other write.

        :return: whether this role may allow them
        """
        return False

    def forbid_updates(self, connection: Connection, target: Table, columns: Sequence[Column]) -> None:
        """Undo :meth:`allow_updates`, after all other writes of the transaction."""

    def move_past_keys(self, connection: Connection, target: Table) -> None:
        """Advance sequences past the highest key, inside the transaction, unless the engine does so automatically."""
