"""The part of the engine contract that version 2 needs: canonical texts and digests, inside the database.

Both sides render their values as the source's logical types say. ``CanonicalColumn`` pairs a column of this database with
the type that it is to be rendered as, which on the target may be another than its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.databases.schema import Column, Kind, Table
from airflow_provider_sync.protocol.v2.messages import SHA256, KeyRange, Partitioning, Scheme, Window
from airflow_provider_sync.protocol.v2.types import LogicalType


class CanonicalColumn(msgspec.Struct, frozen=True, kw_only=True):
    """A column of this database, and the logical type by which it is rendered."""

    column: Column
    type: LogicalType


class TableSlice(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a table that one sync is about, on one side.

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


class CanonicalDatabase(ABC):
    """What a database does for version 2.

    Every method works over one connection, usually of :meth:`~.base.Database.snapshot` on the source and inside the merge's
    transaction on the target; none keeps more than a batch in memory.
    """

    schemes: ClassVar[tuple[Scheme, ...]] = ("key_range", "row_hash")
    """In which ways this database can cut a table."""

    @abstractmethod
    def logical_type(self, column: Column) -> LogicalType | None:
        """Return the type of one of this database's columns; ``None`` for one that version 2 cannot carry."""

    def probes(self, connection: Connection) -> Mapping[str, str]:
        """Compute fixed texts by every digest that this database has besides SHA-256.

        :return: what came out, by the name of the digest; two databases with the same answer digest all rows alike
        """
        return {}

    @abstractmethod
    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Return the lowest and highest integer key of the part's rows; ``None`` when there are none."""

    @abstractmethod
    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Return about how many rows there are, from statistics where there are any."""

    @abstractmethod
    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment of the partitioning in one scan; segments without rows are left out.

        On the target, a ``key_range`` partitioning counts rows below ``low`` into segment -1, and rows above ``high`` into
        segment ``segment_count``.

        :raises TableError: for a row that cannot be digested inside the database (one above ``max_allowed_packet``)
        """

    def digest_written(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment as :meth:`digest_segments` does, what the open transaction has written included.

        Engines whose other connections can see that, too, share the scan among several.
        """
        return self.digest_segments(connection, table_slice, partitioning)

    @abstractmethod
    def digest_rows(
        self,
        connection: Connection,
        table_slice: TableSlice,
        partitioning: Partitioning,
        segment_ranges: Sequence[tuple[int, int]],
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        """Stream key texts and 60-bit digests of the rows in these segments, in batches; ordered by key for ``key_range``.

        :param segment_ranges: first and last number of stretches of segments, ascending, -1 and ``segment_count`` included
        """

    @abstractmethod
    def digest_keys(
        self, connection: Connection, table_slice: TableSlice, keys: Keys
    ) -> Iterator[list[tuple[tuple[str, ...], int]]]:
        """Stream key texts and 60-bit digests of the rows with these keys, by bytes; keys without a row are left out."""

    @abstractmethod
    def read_text(self, connection: Connection, table_slice: TableSlice, keys: Keys | None = None) -> Iterator[tuple[int, bytes]]:
        """Stream rows as TSV of canonical texts (:mod:`airflow_provider_sync.protocol.v2.tsv`).

        :param keys: only the rows with these keys, by bytes; ``None`` for all rows of the part
        :return: number of rows and their lines, a few hundred KB at once
        """

    @abstractmethod
    def load_text(
        self, connection: Connection, staging: Table, columns: Sequence[CanonicalColumn], blocks: Iterable[bytes]
    ) -> int:
        """Load TSV of canonical texts into a staging table by the fastest way that the server allows.

        Each block holds whole lines. Nothing is mangled silently, as in :meth:`~.base.Database.load`.

        :param columns: columns of the staging table with the types of the source, in the order of the text's fields
        :return: rows loaded
        :raises TableError: naming the table, the column where it is known, and the reason
        """

    def adopt_keys(  # noqa: B027  # nothing to do where every key has one form, as in most databases
        self, connection: Connection, target: Table, staging: Table, key: Sequence[CanonicalColumn]
    ) -> None:
        """Write staged keys as the target writes those with the same canonical text."""
