"""What is known of a table and its source while they are compared: numbers, from which :mod:`.plan` decides what is next."""

from __future__ import annotations

from enum import StrEnum, auto

import msgspec

from airflow_provider_sync.protocol.v2.messages import Partitioning


class Cut(StrEnum):
    """Why tables were cut as they were."""

    USUAL = auto()
    """As the source chose, or as the rows of a probe advised."""
    DENSE = auto()
    """Again, since most rows stood in few segments, or since comparing rows would have taken many scans."""
    SCATTERED = auto()
    """Again, since nearly all segments differed in few rows."""


class SegmentFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison of segments showed.

    :ivar partitioning: how both tables were cut
    :ivar cut: why they were cut like that
    :ivar is_probe: whether only a few segments were compared; all counts are then of these
    :ivar estimated_rows: rows of the whole source, by its statistics
    :ivar source_rows: rows of the source
    :ivar target_rows: rows of the target
    :ivar segments: number of segments that have rows on either side
    :ivar differing: number of segments that differ
    :ivar differing_rows: rows in these, on both sides together
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
    """What the rows of a few differing segments showed.

    :ivar wanted: rows that would be fetched
    :ivar changed: rows that differ
    :ivar source_rows: rows of the source in the segments that the sample stands for: for a probe the equal ones, too
    :ivar rows: rows there on both sides together
    """

    wanted: int
    changed: int
    source_rows: int
    rows: int

    @property
    def share_wanted(self) -> float:
        """Share of the source's rows that would be fetched."""
        return self.wanted / max(1, self.source_rows)

    def changed_among(self, rows: float) -> float:
        """Estimate how many of so many rows, on both sides together, differ."""
        return self.changed * rows / max(1, self.rows)


class RowFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison of rows has listed so far.

    :ivar wanted: rows to fetch
    :ivar deleted: rows that only the target has
    :ivar is_complete: whether all differing segments were looked into
    """

    wanted: int = 0
    deleted: int = 0
    is_complete: bool = False


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a table and its source. It starts with what the target tells, and grows with each step.

    :ivar has_window: whether only rows inside a window are synced, so that the others stay
    :ivar keeps_rows: whether rows that the source lacks stay, so that segments with such rows always differ
    :ivar is_direct_allowed: whether the target is empty and rows may go into it without a staging table
    :ivar is_resumable: whether a retry is to go on where a failed attempt ended
    :ivar has_indexed_ranges: whether the target can look up single segments, and so take part in a probe
    :ivar target_rows: rows of the target, estimated; asked for only where a probe is possible
    :ivar source_rows: rows of the source, as it described them; ``None`` before
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
        """Return the facts after a comparison of segments; what was known of the rows of earlier ones is dropped."""
        return msgspec.structs.replace(self, segments=segments, sample=None, rows=None)
