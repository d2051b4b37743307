"""The counts of one table's merge: the changes it finds, and the changes it made."""

from __future__ import annotations

import msgspec


class MergeCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of the changes that a merge has to make.

    :ivar target_rows: rows of the target before the merge that must equal the source's
    :ivar deleted: rows that the source lacks: they are deleted, marked as deleted, or their version ends
    :ivar forgotten: names of columns that are set to NULL in all rows and have values in some; the other counts leave this out
    """

    target_rows: int
    inserted: int
    updated: int
    deleted: int
    forgotten: tuple[str, ...] = ()

    @property
    def changes(self) -> int:
        """Number of rows that differ."""
        return self.inserted + self.updated + self.deleted


class MergeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a merge did, or in a dry run would do.

    :ivar orphans: number of rows whose foreign key refers to no row, by ``table.constraint``
    :ivar verified_rows: whether staged rows and target were compared by bytes, and are equal in every column
    """

    counts: MergeCounts
    orphans: dict[str, int] = {}
    warnings: tuple[str, ...] = ()
    verified_rows: bool = False
