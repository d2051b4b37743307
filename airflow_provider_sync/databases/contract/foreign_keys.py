"""Foreign keys around a merge: switched off where the role may, guarded where they stay on, and their orphans counted."""

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
        """Switch foreign-key checks off around a transaction, and back to what they were in any case.

        :raises TableError: where the role may not and constraints are in the way, naming the grant
        """

    def references_kept(self, connection: Connection, changes: Sequence[ListedChanges]) -> AbstractContextManager[None]:
        """See that no action of a foreign key that stays on touches a row that is not to change.

        Rows that have to be deleted last are listed so. Called inside the transaction, with the work tables filled.

        :return: to be entered around the writes
        :raises ReferencedRowsError: before anything is written, when rows would be changed or lose what they refer to
        """
        return nullcontext()

    def why_not_replace(self, connection: Connection, change: ListedChanges) -> str | None:
        """Say why the rows listed under ``R`` cannot be deleted and inserted again; ``None`` where nothing else would happen."""
        if not change.target.triggers:
            return None
        return f"the triggers of the table ({', '.join(change.target.triggers)}) would take them for deleted"

    def merged_together(self, names: Sequence[str]) -> list[list[int]]:
        """Group tables, by their places in ``names``, that share a transaction since foreign keys between them stay on."""
        return [[number] for number in range(len(names))]

    def written_last(self, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
        """Name the columns of each table that are written once all tables have their rows: they refer to what comes later.

        Columns that may be NULL until then, of foreign keys that stay on and form a ring.
        """
        return [frozenset() for _ in changes]

    @abstractmethod
    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count rows whose foreign key points to nothing, in ``table`` and in the tables that refer to it.

        :return: number of rows by ``table.constraint``, only where there are any
        """
