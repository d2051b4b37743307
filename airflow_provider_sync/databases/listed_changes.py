"""Values of a merge: what it gets (staged rows), what it lists and counts before it writes, and what it has done."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Column, Table
from airflow_provider_sync.databases.table_mode import MIRROR, TableMode


class StagedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A target and its staged rows: all rows of the source, or only those that change.

    :ivar key: columns that identify a row
    :ivar columns: names of the staged columns; those that the target computes are compared but not written
    :ivar rows: how many rows are staged
    :ivar verify: compare staged rows and target before the commit
    :ivar removed: a table with the keys that the source lacks; ``None`` if all rows are staged, and the source lacks every other
    :ivar target_rows: rows of the target that must equal the source's, if ``removed`` is given
    :ivar mode: what happens to rows that differ, and to those that the source lacks
    """

    target: Table
    staging: Table
    key: tuple[str, ...]
    columns: tuple[str, ...]
    rows: int
    verify: bool = True
    removed: Table | None = None
    target_rows: int = 0
    mode: TableMode = MIRROR

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the staged columns."""
        return self.columns


class MergeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of what a merge has to do.

    :ivar target_rows: rows of the target before the merge that must equal the source's
    :ivar deleted: rows that the source lacks, and that are deleted, marked, or whose version ends
    """

    target_rows: int
    inserted: int
    updated: int
    deleted: int

    @property
    def changes(self) -> int:
        """Rows that differ."""
        return self.inserted + self.updated + self.deleted


class ListedChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What one merge is about to do, row by row.

    :ivar work: the work table that lists the rows
    :ivar key: columns that identify a row
    :ivar staged: names of the staged columns
    :ivar written: names of those that are written
    :ivar inserted: rows to insert
    :ivar deleted: rows to delete
    :ivar updated: rows to update, including those whose key only gets another form
    :ivar renamed: rows whose key only gets another form
    """

    target: Table
    staging: Table
    work: Table
    key: tuple[Column, ...]
    staged: tuple[str, ...]
    written: tuple[str, ...]
    inserted: int
    deleted: int
    updated: int
    renamed: int


class MergeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge did, or in a dry run would do.

    :ivar orphans: number of rows whose foreign key refers to no row, by ``table.constraint``
    :ivar verified_rows: staged rows and target were compared, and are equal in every column, by bytes
    """

    counts: MergeCounts
    orphans: dict[str, int] = {}
    warnings: tuple[str, ...] = ()
    verified_rows: bool = False
