"""Foreign keys around a merge: switched off if the role may, guarded if they stay on, and their orphans counted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import Table


class ForeignKeys(DatabaseComponent):
    """Keeps foreign keys out of a merge's way, and rows that others refer to unharmed."""

    @abstractmethod
    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Switch foreign-key checks off around a transaction, and restore them afterwards in any case.

        :raises TableError: if the role may not and a constraint is violated, naming the grant
        """

    def references_kept(self, connection: Connection, changes: Sequence[ListedChanges]) -> AbstractContextManager[None]:
        """Make sure that no action of a foreign key that stays on changes a row that is not part of the merge.

        Rows that have to be deleted last are marked in the work tables. Call it inside the transaction, with the work tables
        filled.

        :return: to be entered around the writes
        :raises ReferencedRowsError: before anything is written, when rows would be changed or lose what they refer to
        """
        return nullcontext()

    def why_not_replace(self, connection: Connection, change: ListedChanges) -> str | None:
        """Return why deleting and reinserting the rows listed under ``R`` would have side effects; ``None`` if it has none."""
        if not change.target.triggers:
            return None
        return f"the triggers of the table ({', '.join(change.target.triggers)}) would take them for deleted"

    def merged_together(self, names: Sequence[str]) -> list[list[int]]:
        """Group tables, by their positions in ``names``, that need one transaction because foreign keys between them stay on."""
        return [[number] for number in range(len(names))]

    def written_last(self, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
        """Return for each table the columns to write last, after all tables have their rows.

        They are nullable columns of foreign keys that stay on and form a cycle.
        """
        return [frozenset() for _ in changes]

    @abstractmethod
    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count orphans, in ``table`` and in the tables that refer to it.

        :return: number of rows by ``table.constraint``, only where there are any
        """
