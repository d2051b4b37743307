"""Rows that tasks have staged in slices by version 2, and their verification before the commit."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.table_slice import SUM_MODULUS, SegmentDigest, TableSlice
from airflow_provider_sync.exceptions import NOTHING_CHANGED, TargetChangedError
from airflow_provider_sync.merge.staged_table import StagedTable
from airflow_provider_sync.protocol.v2.messages import ONE_SEGMENT, DescribeTable
from airflow_provider_sync.report import Verified
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.staged_rows import StagedRows
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version2.column_mapping import requested_slice_for
from airflow_provider_sync.sync.tables.version2.computed_columns import refuse_other_values


class StagedSlices(StagedRows):
    """Rows of the source that several tasks have staged.

    Only the digest of each slice is known, so each slice's whole key range is verified.

    :param table_slice: the columns to sync, for all keys
    :param slices: the result of each task
    """

    protocol = 2

    def __init__(
        self,
        client: SyncClient,
        database: Database,
        target: Target,
        table_slice: TableSlice,
        staged: StagedTable,
        slices: Sequence[StagedSlice],
    ) -> None:
        super().__init__(
            target,
            staged,
            rows_total=slices[0].source_rows,
            rows_received=sum(entry.received for entry in slices),
            # Each slice has those about the columns.
            warnings=tuple(dict.fromkeys(warning for entry in slices for warning in entry.warnings)),
        )
        self.client = client
        self.database = database
        self.table_slice = table_slice
        self.staging = staged.staging
        self.slices = slices

    def source_changed(self) -> bool:
        """Tell whether the source's key ranges changed since they were compared, by requesting their digests again."""
        requested_slice = requested_slice_for(self.target)
        for entry in self.slices:
            request = DescribeTable(
                table_slice=msgspec.structs.replace(requested_slice, key_range=entry.key_range), partitioning=ONE_SEGMENT
            )
            with self.client.describe_table(request) as answer:
                total = sum(sum(segments.sums) for segments in answer) % SUM_MODULUS
                if answer.described.digest == entry.algorithm and total != entry.source_digest:
                    return True
        return False

    def verify(self, connection: Connection) -> Verified | None:
        """Digest each key range, and compare it with the digest that its task recorded.

        :return: ``None`` if rows changed at the source each time they were fetched
        :raises TargetChangedError: if the digests differ
        :raises TableError: if they differ because the target changes values as it stores them
        """
        for entry in self.slices:
            if self._is_unknown(entry) or self._holds(connection, entry):
                continue
            refuse_other_values(self.database, connection, self._slice_of(entry), self.staging, name=self.target.name)
            # If the mode keeps rows, another sync may have written some since; the merge has already compared the staged rows.
            if not (entry.by_key or self.target.mode.keeps_rows):
                raise TargetChangedError(
                    f"Table {self.target.name!r}: after the merge the target is not what the source announced; one of them"
                    " changed since they were compared.",
                    NOTHING_CHANGED,
                    "Run the steps again from the first.",
                )
        return "digest" if all(entry.proven for entry in self.slices) else None

    def _is_unknown(self, entry: StagedSlice) -> bool:
        """Tell whether a slice's digest does not cover the target, since the target keeps other rows besides the staged ones."""
        return entry.by_key and self.target.mode.keeps_rows

    def _holds(self, connection: Connection, entry: StagedSlice) -> bool:
        """Tell whether a slice's key range in the target has the digest that its task recorded."""
        found = self.database.digests.digest_segments(connection, self._slice_of(entry), ONE_SEGMENT).get(0, SegmentDigest(0, 0))
        return found == SegmentDigest(entry.rows, entry.digest)

    def _slice_of(self, entry: StagedSlice) -> TableSlice:
        return msgspec.structs.replace(self.table_slice, key_range=entry.key_range, digest=entry.algorithm)
