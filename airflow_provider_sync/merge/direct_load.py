"""A first load without a detour: rows go straight into an empty target, inside the final transaction.

It may stand in one transaction with merges of other tables; see :mod:`.transaction`. What arrived is proven by its digests,
since there is no staging table to compare with.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.listed_changes import MergeCounts, MergeResult
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError, TargetChangedError
from airflow_provider_sync.merge.table_write import TableWrite


class DirectRows(msgspec.Struct, frozen=True, kw_only=True):
    """An empty target, and the rows that it shall have.

    :ivar columns: of the target, in the order of the rows' fields; none is computed by the target
    :ivar rows: tells how many the source has; called after they came, or when they are not to be loaded
    :ivar blocks: lines of canonical texts; called once, inside the transaction
    :ivar verify: take this load for proven only when its digests are
    """

    target: Table
    columns: tuple[CanonicalColumn, ...]
    rows: Callable[[], int]
    blocks: Callable[[], Generator[bytes]]
    verify: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are written."""
        return tuple(column.column.name for column in self.columns)


class DirectLoad(TableWrite):
    """The steps of one load; what arrived is verified by its digests."""

    def __init__(self, database: Database, connection: Connection, staged: DirectRows) -> None:
        super().__init__(staged.target)
        self.database = database
        self.connection = connection
        self.staged = staged
        self._loaded: int | None = None

    def list_changes(self) -> None:
        """See that the target is still empty.

        :raises TargetChangedError: when it is not
        """
        if not self.database.reader.is_empty(self.connection, self.target):
            raise TargetChangedError(f"Table {str(self.target)!r} was empty, and has rows now.", NOTHING_CHANGED, "Try again.")
        self.counts = MergeCounts(target_rows=0, inserted=0, updated=0, deleted=0)

    @property
    def writes(self) -> bool:
        """Say that rows are written: nobody knows how many before they come."""
        return True

    def write(self) -> None:
        """Load the rows as they come.

        :raises SourceChangedError: when they are not as many as announced
        """
        # Closed here, so that the answer of the source does not stay open as long as the error that ended the load.
        with naming_table(self.target.name), self.database.translate_errors(), closing(self.staged.blocks()) as blocks:
            loaded = self.database.loader.load_text(self.connection, self.target, self.staged.columns, blocks)
            self.database.identities.move_past_keys(self.connection, self.target)
        expected = self.staged.rows()
        if loaded != expected:
            raise SourceChangedError(f"Table {str(self.target)!r}: {loaded} rows came of {expected}.", NOTHING_CHANGED)
        self._loaded = loaded

    def result(self) -> MergeResult:
        """Return what was done, or what would be if this were no dry run."""
        inserted = self.staged.rows() if self._loaded is None else self._loaded
        return MergeResult(counts=msgspec.structs.replace(self.counts, inserted=inserted))


def can_load_directly(target: Table, columns: tuple[CanonicalColumn, ...]) -> bool:
    """Whether nothing but the rows themselves matters: no foreign keys, triggers, policies or columns that the target computes.

    Rows that cannot be rolled back are staged before, where most that is wrong with them shows.
    """
    return (
        not target.cannot_roll_back
        and not target.foreign_keys
        and not target.triggers
        # PostgreSQL's COPY does not go through policies.
        and not target.row_filter
        and not any(column.column.generated for column in columns)
    )
