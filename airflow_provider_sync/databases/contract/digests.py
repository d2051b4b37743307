"""Digest rows and segments for version 2 of the protocol, inside the database if it has the functions.

Both sides render their values by the source's logical types, so that equal content has equal digests on every engine.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import ClassVar

from sqlalchemy import Connection

from airflow_provider_sync.databases.contract.component import DatabaseComponent
from airflow_provider_sync.databases.line_digest import LineDigest
from airflow_provider_sync.databases.partitioning import SegmentRanges
from airflow_provider_sync.databases.table_slice import Keys, SegmentDigest, TableSlice
from airflow_provider_sync.protocol.v2.messages import Partitioning, Scheme

KeyDigest = tuple[tuple[str, ...], int]
"""The canonical texts of a row's key, and the row's 60-bit digest."""


class Digests(DatabaseComponent):
    """Digests rows.

    Every method works over one connection: usually from :meth:`~.base.Database.snapshot` on the source, and inside the merge's
    transaction on the target. No method keeps more than one batch in memory.
    """

    schemes: ClassVar[tuple[Scheme, ...]] = ("key_range", "row_hash")
    """Partitioning schemes that this database supports."""

    def probes(self, connection: Connection) -> Mapping[str, str]:
        """Digest fixed texts with each hash function that this database has besides SHA-256.

        :return: results by the function's name; two databases with equal results compute equal digests of all rows
        """
        return {}

    @abstractmethod
    def key_bounds(self, connection: Connection, table_slice: TableSlice) -> tuple[int, int] | None:
        """Return the lowest and highest integer key in the table slice; ``None`` if it has no rows."""

    @abstractmethod
    def estimate_rows(self, connection: Connection, table_slice: TableSlice) -> int:
        """Estimate the number of rows in the table slice, from statistics where the database has them."""

    @abstractmethod
    def digest_segments(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment of the partitioning in one scan; segments without rows are left out.

        On the target, a ``key_range`` partitioning counts rows below ``low`` into segment -1, and rows above ``high`` into
        segment ``segment_count``.

        :raises TableError: for a row that the database cannot digest, such as one larger than ``max_allowed_packet``
        """

    def digest_written(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning
    ) -> Mapping[int, SegmentDigest]:
        """Digest every segment as :meth:`digest_segments` does, including what the open transaction has written.

        Engines that can show uncommitted rows to other connections split the scan among several.
        """
        return self.digest_segments(connection, table_slice, partitioning)

    def line_digest(self, table_slice: TableSlice) -> LineDigest:
        """Return an object that digests rows while they are loaded, for comparison with :meth:`digest_loaded`."""
        return LineDigest([column.type.kind for column in table_slice.columns])

    def digest_loaded(self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning) -> SegmentDigest:
        """Digest all rows of a table with the function of :meth:`line_digest`, including rows of the open transaction.

        :param partitioning: partitioning by which the scan may be split
        """
        return SegmentDigest.together(self.digest_written(connection, table_slice, partitioning).values())

    @abstractmethod
    def digest_rows(
        self, connection: Connection, table_slice: TableSlice, partitioning: Partitioning, segment_ranges: SegmentRanges
    ) -> Iterator[list[KeyDigest]]:
        """Stream batches of key texts and 60-bit digests of the rows in these segments; ordered by key for ``key_range``.

        :param segment_ranges: first and last segment number of each range, ascending; may include -1 and ``segment_count``
        """

    @abstractmethod
    def digest_keys(self, connection: Connection, table_slice: TableSlice, keys: Keys) -> Iterator[list[KeyDigest]]:
        """Stream batches of key texts and 60-bit digests of the rows with these keys; keys without a row are left out.

        Keys are compared by bytes.
        """
