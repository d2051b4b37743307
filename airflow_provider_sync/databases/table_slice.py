"""A table slice and its columns, each with the logical type by which its values are rendered, and what a segment digests to.

Both sides render their values as the source's logical types say. ``CanonicalColumn`` pairs a column of this database with
the type that it is to be rendered as, which on the target may be another than its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.protocol.v2.messages import SHA256, KeyRange, Window
from airflow_provider_sync.protocol.v2.types import LogicalType


class CanonicalColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of this database, and the logical type by which it is rendered."""

    column: Column
    type: LogicalType


class TableSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The rows, columns and key range of a table that one request or one task is about, on one side.

    :ivar columns: in the order of the source's description
    :ivar key: those that identify a row, among ``columns``, in the order of the description's key
    :ivar window: with the name of the column in this database
    :ivar key_range: keys of its rows, where the key is a single integer
    :ivar digest: the name of the digest of its rows
    """

    table: Table
    columns: tuple[CanonicalColumn, ...]
    key: tuple[CanonicalColumn, ...]
    window: Window | None = None
    key_range: KeyRange | None = None
    digest: str = SHA256

    @property
    def has_indexed_ranges(self) -> bool:
        """Whether an index finds the rows between two keys; otherwise each range would cost a scan of the table."""
        key = self.key[0].column
        return len(self.key) == 1 and key.kind is Kind.INTEGER and self.table.is_indexed(key.name)


class SegmentDigest(msgspec.Struct, frozen=True):
    """What a segment holds: number of rows, and the sum of their 60-bit digests modulo 2**64."""

    rows: int
    sum: int


Keys = Sequence[tuple[str, ...]]
"""Canonical texts of keys."""
