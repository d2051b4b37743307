"""The numbers known about a table and its source during a comparison, from which :mod:`.plan` decides on the next step."""

from __future__ import annotations

from enum import StrEnum, auto

import msgspec

from airflow_provider_sync.protocol.v2.messages import Partitioning


class Cut(StrEnum):
    """The reason for the partitioning of the tables."""

    USUAL = auto()
    """The source chose it, or the rows of a probe suggested it."""
    DENSE = auto()
    """Cut again, because few segments held most of the rows, or comparing rows would have taken many scans."""
    SCATTERED = auto()
    """Cut again, because nearly all segments differed in few rows."""


class SegmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a comparison of segments, in numbers.

    :ivar partitioning: the partitioning of both tables
    :ivar cut: the reason for this partitioning
    :ivar is_probe: whether only a few segments were compared; then all counts are of these segments
    :ivar estimated_rows: number of rows of the whole source, from its statistics
    :ivar source_rows: number of rows of the source
    :ivar target_rows: number of rows of the target
    :ivar segments: number of segments that have rows on either side
    :ivar differing: number of segments that differ
    :ivar differing_rows: number of rows in differing segments, on both sides together
    """

    partitioning: Partitioning
    cut: Cut = Cut.USUAL
    is_probe: bool = False
    estimated_rows: int = 0
    source_rows: int = 0
    target_rows: int = 0
    segments: int = 0
    differing: int = 0
    differing_rows: int = 0


class SampleFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The result of comparing the rows of a few differing segments, in numbers.

    :ivar wanted: number of rows that would be fetched
    :ivar changed: number of rows that differ
    :ivar source_rows: number of source rows in the segments that the sample represents; for a probe this includes equal segments
    :ivar rows: number of rows in these segments, on both sides together
    """

    wanted: int
    changed: int
    source_rows: int
    rows: int

    @property
    def share_wanted(self) -> float:
        """The share of the source's rows that would be fetched."""
        return self.wanted / max(1, self.source_rows)

    def changed_among(self, rows: float) -> float:
        """Estimate how many of a number of rows, on both sides together, differ."""
        return self.changed * rows / max(1, self.rows)


class RowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of rows that a comparison of rows has listed so far.

    :ivar wanted: number of rows to fetch
    :ivar deleted: number of rows that only the target has
    :ivar is_complete: whether the rows of all differing segments were compared
    """

    wanted: int = 0
    deleted: int = 0
    is_complete: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The facts known about a table and its source: at first from the target alone, then from each step.

    :ivar has_window: whether only rows inside a window are synced, and rows outside stay
    :ivar keeps_rows: whether rows that the source lacks stay, so that segments with such rows always differ
    :ivar is_direct_allowed: whether the target is empty and rows may be loaded without a staging table
    :ivar is_resumable: whether a retry should resume where a failed attempt ended
    :ivar has_indexed_ranges: whether the target can look up single segments, which a probe requires
    :ivar target_rows: estimated number of rows of the target; determined only if a probe is possible
    :ivar source_rows: number of rows of the source, as it described itself; ``None`` before that
    :ivar can_load_directly: whether all columns can be loaded directly, once the source has described them
    :ivar segments: the last comparison of segments
    :ivar sample: rows of some of these segments
    :ivar rows: rows listed from all of these segments
    """

    has_window: bool = False
    keeps_rows: bool = False
    is_direct_allowed: bool = False
    is_resumable: bool = False
    has_indexed_ranges: bool = False
    target_rows: int = 0
    source_rows: int | None = None
    can_load_directly: bool = False
    segments: SegmentFacts | None = None
    sample: SampleFacts | None = None
    rows: RowFacts | None = None

    def with_segments(self, segments: SegmentFacts) -> Facts:
        """Return the facts after a comparison of segments, without the row facts of earlier segments."""
        return msgspec.structs.replace(self, segments=segments, sample=None, rows=None)
