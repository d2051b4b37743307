"""The result of comparing segments, as later requests need it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from airflow_provider_sync.databases.contract.ddl import StagingLayout
from airflow_provider_sync.databases.table_mode import MIRROR, TableMode
from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.merge.gone_columns import forgotten_in_words
from airflow_provider_sync.protocol.v2.messages import Described, Partitioning, RequestedSlice
from airflow_provider_sync.sync.tables.schema_changes import schema_warnings
from airflow_provider_sync.sync.tables.target import Target
from airflow_provider_sync.sync.tables.version2.batch_sizes import cut_slices, rows_at_once
from airflow_provider_sync.sync.tables.version2.column_mapping import requested_slice_for
from airflow_provider_sync.sync.tables.version2.segment_digests import SegmentDigests


class ComparedSegments(msgspec.Struct, frozen=True, kw_only=True):
    """The digests of both sides by segment, and the segments that differ.

    :ivar table_slice: the compared slice of the target, with its values rendered by the source's types
    :ivar described: the source's description of its table
    :ivar source_segments: digests of the source's segments
    :ivar target_segments: digests of the target's segments, by the same partitioning
    :ivar differing: numbers of the segments that differ, ascending, without those that differ only by rows that the mode keeps
    :ivar mode: the mode of the target, which decides about rows that differ
    :ivar forgotten: columns that the source no longer has and that a sync sets to NULL; set only for the last comparison
    """

    target: Target
    table_slice: TableSlice
    described: Described
    source_segments: SegmentDigests
    target_segments: SegmentDigests
    differing: tuple[int, ...]
    mode: TableMode = MIRROR
    forgotten: tuple[str, ...] = ()

    @property
    def gone_columns(self) -> tuple[str, ...]:
        """Columns that the source no longer has and that a sync sets to NULL."""
        return self.target.gone_columns(self.table_slice.column_names, protocol=2)

    @property
    def schema_changes(self) -> tuple[str, ...]:
        """The schema changes of a sync, made or planned, one phrase for each column."""
        return (*self.target.schema_changes, *forgotten_in_words(self.forgotten))

    @property
    def staging_layout(self) -> StagingLayout:
        """The layout of the staging table for rows; its key columns are those of the staging table for keys to delete."""
        return StagingLayout(
            target=self.target.table,
            columns=tuple(column.column for column in self.table_slice.columns),
            primary_key=self.table_slice.key_names,
            indexes=self.target.options.import_indexes,
        )

    @property
    def partitioning(self) -> Partitioning:
        """The partitioning of both tables."""
        return self.described.partitioning

    @property
    def requested_slice(self) -> RequestedSlice:
        """The slice for later requests. It names all columns and the key, so that a change of either is an error."""
        columns = tuple(column.name for column in self.described.columns)
        return msgspec.structs.replace(requested_slice_for(self.target), columns=columns, key=self.described.key_columns)

    @property
    def without_window(self) -> RequestedSlice:
        """The slice for later requests of rows inside or outside the window."""
        return msgspec.structs.replace(self.requested_slice, window=None)

    @property
    def source_rows(self) -> int:
        """Number of rows of the source."""
        return sum(segment.rows for segment in self.source_segments.values())

    @property
    def target_rows(self) -> int:
        """Number of rows of the target."""
        return sum(segment.rows for segment in self.target_segments.values())

    @property
    def is_probe(self) -> bool:
        """Whether only a sample of the segments was compared. A source that cannot look up single segments sends all."""
        return self.described.sample > 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings for the report: columns that only one side has, and a source that needs many scans to find rows."""
        found = schema_warnings(self.target, self.table_slice)
        if self.described.scanned and len(self.slices()) > 1:
            found += (
                f"Table {self.target.name!r}: no index finds the segments of this view or query at the source, so that comparing"
                " so many changed rows takes several scans of it, or sends all rows.",
            )
        return found

    @property
    def may_mislead(self) -> bool:
        """Whether apparent inserts and deletes may be updates: rows that left a window, or moved to a segment by a new hash."""
        return self.requested_slice.window is not None or self.partitioning.scheme == "row_hash"

    @property
    def numbers(self) -> Sequence[int]:
        """Numbers of the compared segments that have rows on either side."""
        return tuple(self.source_segments.keys() | self.target_segments.keys())

    def rows_in(self, numbers: Iterable[int]) -> dict[int, int]:
        """Count the rows of segments, on both sides together."""
        sides = (self.source_segments, self.target_segments)
        return {number: sum(side[number].rows for side in sides if number in side) for number in numbers}

    def source_rows_in(self, numbers: Iterable[int]) -> int:
        """Count the source's rows in some segments."""
        return sum(self.source_segments[number].rows for number in numbers if number in self.source_segments)

    def slices(self) -> list[Sequence[int]]:
        """Group the segments that differ into slices; the row digests of one slice are held in memory at once."""
        rows = self.rows_in(self.differing)
        return list(cut_slices(self.differing, rows, rows_at_once(self.partitioning.scheme)))
