"""What a merge of one table finds to do, and what it has done, in numbers."""

from __future__ import annotations

import msgspec


class MergeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of what a merge has to do.

    :ivar target_rows: rows of the target before the merge that must equal the source's
    :ivar deleted: rows that the source lacks, and that are deleted, marked, or whose version ends
    :ivar forgotten: names of columns that get NULL in all rows, and have values in some; such rows count as neither
    """

    target_rows: int
    inserted: int
    updated: int
    deleted: int
    forgotten: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """Rows that differ."""
        return self.inserted + self.updated + self.deleted


class MergeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge did, or in a dry run would do.

    :ivar orphans: number of rows whose foreign key refers to no row, by ``table.constraint``
    :ivar verified_rows: staged rows and target were compared, and are equal in every column, by bytes
    """

    counts: MergeCounts
    orphans: dict[str, int] = {}
    warnings: tuple[str, ...] = ()
    verified_rows: bool = False
