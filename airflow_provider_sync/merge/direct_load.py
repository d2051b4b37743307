"""Load rows straight into an empty target, without a staging table, inside the final transaction.

The transaction may also merge other tables; see :mod:`.transaction`. There is no staging table to compare the target with, so
the caller compares the digests of source and target.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.received_rows import receiving
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_errors import naming_table
from airflow_provider_sync.databases.table_slice import CanonicalColumn
from airflow_provider_sync.exceptions import NOTHING_CHANGED, SourceChangedError, TargetChangedError
from airflow_provider_sync.merge.merge_result import MergeCounts, MergeResult
from airflow_provider_sync.merge.table_write import TableWrite, explaining_duplicates


class DirectRows(msgspec.Struct, frozen=True, kw_only=True):
    """An empty target and the rows to load into it.

    :ivar columns: columns of the target in the order of the rows' fields; none is a generated column
    :ivar rows: returns the number of rows that the source announced; called after the load, or instead of it in a dry run
    :ivar is_new: whether this run created the target, so that nobody else uses it yet
    :ivar blocks: yields lines of canonical texts; called once, inside the transaction
    :ivar is_digested: whether the caller compares a digest of the target with that of the received rows before the commit
    """

    target: Table
    columns: tuple[CanonicalColumn, ...]
    rows: Callable[[], int]
    blocks: Callable[[], Generator[bytes]]
    is_new: bool = False
    is_digested: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that are written."""
        return tuple(column.column.name for column in self.columns)


class DirectLoad(TableWrite):
    """The steps of one direct load."""

    def __init__(self, database: Database, connection: Connection, staged: DirectRows) -> None:
        super().__init__(staged.target)
        self.database = database
        self.connection = connection
        self.staged = staged
        self._loaded: int | None = None

    def list_changes(self) -> None:
        """Check that the target is still empty.

        :raises TargetChangedError: if it has rows
        """
        if not self.database.reader.is_empty(self.connection, self.target):
            raise TargetChangedError(f"Table {str(self.target)!r} was empty, and has rows now.", NOTHING_CHANGED, "Try again.")
        self.counts = MergeCounts(target_rows=0, inserted=0, updated=0, deleted=0)

    @property
    def writes(self) -> bool:
        """Always true: the number of rows is unknown before they arrive."""
        return True

    def write(self) -> None:
        """Load the rows as they arrive.

        :raises SourceChangedError: if their number differs from the one that the source announced
        """
        # Closed here: the traceback of an error would otherwise keep the source's response open.
        explaining = explaining_duplicates(self.database, triggers=self.triggers)
        with naming_table(self.target.name), receiving(self.staged.blocks()) as blocks, explaining, self._indexes_last():
            loaded = self.database.loader.load_text(
                self.connection, self.target, self.staged.columns, blocks, is_digested=self.staged.is_digested
            )
        expected = self.staged.rows()
        if loaded != expected:
            raise SourceChangedError(f"Table {str(self.target)!r}: {loaded} rows came of {expected}.", NOTHING_CHANGED)
        self._loaded = loaded

    def move_sequences(self) -> None:
        """Move sequences past the keys that were loaded."""
        with naming_table(self.target.name):
            self.database.identities.move_past_keys(self.connection, self.target)

    def _indexes_last(self) -> AbstractContextManager[None]:
        return self.database.ddl.without_indexes(self.connection, self.target) if self.staged.is_new else nullcontext()

    def result(self) -> MergeResult:
        """Return what was done; in a dry run, what would have been done."""
        inserted = self.staged.rows() if self._loaded is None else self._loaded
        return MergeResult(counts=msgspec.structs.replace(self.counts, inserted=inserted), warnings=tuple(self.warnings))


def can_load_directly(target: Table, columns: tuple[CanonicalColumn, ...]) -> bool:
    """Whether a table can be loaded directly: no foreign keys, triggers, row-level security policies or generated columns.

    A table that cannot roll back is staged instead, so that most faults in the rows show before the target is written.
    """
    return (
        not target.cannot_roll_back
        and not target.foreign_keys
        and not target.triggers
        # PostgreSQL's COPY FROM does not support row-level security.
        and not target.row_filter
        and not any(column.column.generated for column in columns)
    )
