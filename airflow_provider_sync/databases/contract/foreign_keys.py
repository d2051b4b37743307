"""Handle foreign keys during a merge: switch them off, protect rows where they stay on, count orphans."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.listed_changes import ListedChanges
from airflow_provider_sync.databases.schema import Table


class ForeignKeys(DatabaseComponent):
    """Lets a merge write tables with foreign keys, and protects the rows that refer to them."""

    @abstractmethod
    def switched_off(self, connection: Connection, tables: Sequence[Table]) -> AbstractContextManager[None]:
        """Switch foreign-key checks off for one transaction, and always restore them afterwards.

        :raises TableError: if the role may not switch them off and a constraint is violated, naming the missing grant
        """

    def references_kept(self, connection: Connection, changes: Sequence[ListedChanges]) -> AbstractContextManager[None]:
        """Make sure that no ON DELETE or ON UPDATE action changes a row outside the merge.

        Call it inside the transaction, after the work tables are filled. It marks the rows that must be deleted last there.

        :return: context manager to enter around the writes
        :raises ReferencedRowsError: before anything is written, if such a row would be changed or left without its parent
        """
        return nullcontext()

    def why_not_replace(self, connection: Connection, change: ListedChanges) -> str | None:
        """Return why deleting and reinserting the rows listed under ``R`` would have side effects; ``None`` if it has none."""
        if not change.target.triggers:
            return None
        return f"the triggers of the table ({', '.join(change.target.triggers)}) would take them for deleted"

    def merged_together(self, names: Sequence[str]) -> list[list[int]]:
        """Group the tables that must share a transaction because foreign keys between them stay on.

        :return: groups of positions in ``names``
        """
        return [[number] for number in range(len(names))]

    def may_act(self, connection: Connection) -> bool:
        """Whether foreign-key actions fire during a merge, inside of :meth:`switched_off`."""
        return False

    def written_last(self, connection: Connection, changes: Sequence[ListedChanges]) -> list[frozenset[str]]:
        """Return, for each table, the columns to write after all tables have their rows.

        These are nullable columns of foreign keys that stay on and form a cycle.
        """
        return [frozenset() for _ in changes]

    def to_itself(self, connection: Connection, change: ListedChanges) -> frozenset[str]:
        """Return the written, nullable columns of self-referencing foreign keys that stay on."""
        return frozenset()

    def followed(self, connection: Connection, change: ListedChanges) -> frozenset[str]:
        """Return the columns of the target whose changes an action of a foreign key that stays on would pass on to other rows."""
        return frozenset()

    @abstractmethod
    def count_orphans(self, connection: Connection, table: Table) -> dict[str, int]:
        """Count rows without a parent, in ``table`` and in the tables that refer to it.

        :return: number of orphans by ``table.constraint``; constraints without orphans are left out
        """
