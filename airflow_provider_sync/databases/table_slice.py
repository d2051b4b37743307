"""A table slice, its columns with the logical types by which they are rendered, and the digest of a segment.

Both sides render values by the source's logical types. On the target, the type in a ``CanonicalColumn`` may therefore differ
from the logical type of its column.
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
    :ivar key: the ones of ``columns`` that identify a row, in the order of the description's key
    :ivar window: window of its rows; names the column as this database does
    :ivar key_range: lowest and highest key of its rows, if the key is a single integer
    :ivar digest: name of the digest function for its rows
    """

    table: Table
    columns: tuple[CanonicalColumn, ...]
    key: tuple[CanonicalColumn, ...]
    window: Window | None = None
    key_range: KeyRange | None = None
    digest: str = SHA256

    @property
    def unwindowed(self) -> Self:
        """The same with rows inside and outside of its window."""
        return msgspec.structs.replace(self, window=None)

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of its columns, as this database has them."""
        return tuple(column.column.name for column in self.columns)

    @property
    def key_columns(self) -> tuple[Column, ...]:
        """The columns of its key, as this database has them."""
        return tuple(column.column for column in self.key)

    @property
    def key_names(self) -> tuple[str, ...]:
        """Names of the columns of its key, as this database has them."""
        return tuple(column.column.name for column in self.key)

    @property
    def has_indexed_ranges(self) -> bool:
        """Whether an index finds the rows between two keys; otherwise each range would cost a scan of the table."""
        key = self.key[0].column
        return len(self.key) == 1 and key.kind is Kind.INTEGER and self.table.is_indexed(key.name)


SUM_MODULUS = 2**64


class SegmentDigest(msgspec.Struct, frozen=True):
    """The digest of a segment: number of rows, and the sum of their 60-bit digests modulo 2**64."""

    rows: int
    sum: int

    @classmethod
    def of(cls, rows: int, total: int) -> Self:
        """Return the digest of rows by the whole sum of theirs, in whatever type a database returns the two."""
        return cls(int(rows), int(total) % SUM_MODULUS)

    @classmethod
    def together(cls, segments: Iterable[SegmentDigest]) -> Self:
        """Return the digest of all rows of several segments."""
        numbers = [(segment.rows, segment.sum) for segment in segments]
        return cls.of(sum(rows for rows, _ in numbers), sum(total for _, total in numbers))


Key = tuple[str, ...]
"""The canonical texts of a row's key columns."""

Keys = Sequence[Key]
