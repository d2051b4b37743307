"""The input of a merge: a target and its staging table."""

from __future__ import annotations

import msgspec

from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.table_mode import MIRROR, TableMode


class StagedTable(msgspec.Struct, frozen=True, kw_only=True):
    """A target and its staged rows: all rows of the source, or only those that change.

    :ivar key: columns that identify a row
    :ivar columns: names of the staged columns; those that the target computes are compared but not written
    :ivar rows: number of staged rows
    :ivar verify: compare staged rows and target before the commit
    :ivar removed: a table with the keys that the source lacks; ``None`` if all rows of the source are staged
    :ivar target_rows: if ``removed`` is given, the number of target rows that must equal the source's
    :ivar mode: what happens to rows that differ, and to rows that the source lacks
    :ivar gone: names of columns that the source no longer has, and that the merge sets to NULL in all rows
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
    gone: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the staged columns."""
        return self.columns
