"""Table slices, their columns with the logical types that determine canonical texts, and digests of segments.

Both sides render values by the source's logical types. On the target, the type in a ``CanonicalColumn`` may therefore differ
from the column's own logical type.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Self

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

    :ivar columns: columns in the order of the source's description
    :ivar key: those of ``columns`` that identify a row, in the order of the description's key
    :ivar window: window of the rows, with the column's name in this database
    :ivar key_range: lowest and highest key of the rows, if the key is a single integer
    :ivar digest: name of the digest function for the rows
    """

    table: Table
    columns: tuple[CanonicalColumn, ...]
    key: tuple[CanonicalColumn, ...]
    window: Window | None = None
    key_range: KeyRange | None = None
    digest: str = SHA256

    @property
    def unwindowed(self) -> Self:
        """The same slice without its window."""
        return msgspec.structs.replace(self, window=None)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns in this database."""
        return tuple(column.column.name for column in self.columns)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The key columns in this database."""
        return tuple(column.column for column in self.key)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the key columns in this database."""
        return tuple(column.column.name for column in self.key)

    @property
    def has_indexed_ranges(self) -> bool:
        """Whether an index can find the rows between two keys; otherwise each key range costs a scan of the table."""
        key = self.key[0].column
        return len(self.key) == 1 and key.kind is Kind.INTEGER and self.table.is_indexed(key.name)


SUM_MODULUS = 2**64


class SegmentDigest(msgspec.Struct, frozen=True):
    """The digest of a segment: number of rows, and the sum of their 60-bit digests modulo 2**64."""

    rows: int
    sum: int

    @classmethod
    def of(cls, rows: int, total: int) -> Self:
        """Return the digest of a segment from its number of rows and the full sum of their digests, in any numeric type."""
        return cls(int(rows), int(total) % SUM_MODULUS)

    @classmethod
    def together(cls, segments: Iterable[SegmentDigest]) -> Self:
        """Return the digest of several segments combined."""
        numbers = [(segment.rows, segment.sum) for segment in segments]
        return cls.of(sum(rows for rows, _ in numbers), sum(total for _, total in numbers))


Key = tuple[str, ...]
"""The canonical texts of a row's key columns."""

Keys = Sequence[Key]
