"""Digest rows while they are loaded, so that a first load can be verified without another request to the source."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from airflow_provider_sync.databases.table_slice import SegmentDigest
from airflow_provider_sync.protocol.v2.row_text import digest_columns
from airflow_provider_sync.protocol.v2.tsv import decode_columns
from airflow_provider_sync.protocol.v2.types import LogicalKind


class LineDigest:
    """The SHA-256 digest of all rows whose lines have passed through, computed in Python.

    :param kinds: kinds of the columns, in the order of the fields
    :ivar found: number of rows, and sum of their digests
    """

    def __init__(self, kinds: Sequence[LogicalKind]) -> None:
        self.found = SegmentDigest(rows=0, sum=0)
        self._kinds = kinds

    def passing(self, blocks: Iterable[bytes]) -> Generator[bytes]:
        """Yield blocks of whole lines unchanged; when the iteration has ended, all their rows are digested.

        :raises ProtocolError: for malformed lines
        """
        for block in blocks:
            digests = digest_columns(decode_columns(block, len(self._kinds)), self._kinds, block.count(b"\n"))
            self.add(len(digests), sum(digests))
            yield block

    def add(self, rows: int, total: int) -> None:
        """Add a number of rows, and the sum of their digests."""
        self.found = SegmentDigest.of(self.found.rows + rows, self.found.sum + total)
