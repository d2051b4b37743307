"""Decide how to compare a table with its source and which rows to fetch. Pure functions from facts to the next step, no I/O.

::

    empty target ── describe ── load directly
    probe ─┬─ compare rows of the sample ─┐
           └──────────────────────────────┴─ compare segments ─┬─ done
                                              cut again, once  ├─ fetch all
                                              or twice         ├─ compare rows, slice by slice ── fetch rows
                                                               └─ fetch slices

The caller starts with :class:`~.facts.Facts`, gets the next step, performs it, adds its results to the facts, and repeats this
until a step adds no facts (:attr:`Step.asks`). There is one function for each purpose: :func:`plan_sync`, :func:`plan_slice`,
:func:`plan_division`, :func:`plan_check` and :func:`plan_diff`. Each ends after at most one probe, three comparisons of segments
and two samples of rows, plus the slices of the rows that differ.

The source's default partitioning is in :mod:`airflow_provider_sync.databases.partitioning`.
"""

from __future__ import annotations

from enum import StrEnum, auto

import msgspec

from airflow_provider_sync.databases.partitioning import SEGMENT_ROWS, segments_for
from airflow_provider_sync.protocol.v2.messages import MAX_SEGMENTS, Partitioning
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from airflow_provider_sync.sync.tables.version2.facts import Cut, Facts, RowFacts, SegmentFacts

MIN_PROBED_ROWS = 50_000
"""Minimum number of rows for a probe: digesting fewer rows takes no longer than the statements of the probe."""

PROBE_SEGMENTS = 16
"""Number of segments of a probe, and of a sample of differing segments: enough to tell "a few" from "nearly all"."""

MIN_SCATTERED = 2
"""Minimum number of differing segments in a probe for changes to count as scattered; changes in one place touch one segment."""

FINE_ROWS = 16
"""Rows per segment if nearly all segments of the usual size differ in few rows; sends an eighth of the row digests."""

ROW_COST = 2.5
"""Cost of a row in a comparison of rows, relative to its cost in a comparison of segments; measured."""

FINE_COST = 0.1
"""Additional cost of digesting fine segments instead of those of the usual size, in scans; measured."""

EXTRA_SCAN = 1.0
"""Cost of cutting tables again after all their segments were compared: one scan."""

ALL_ABOVE = 0.5
"""Share of wanted source rows above which all rows are fetched, since sending keys and looking up rows would take longer."""

DENSE = 8
"""Rows per differing segment, relative to the usual number, from which the keys count as concentrated in few segments."""

KEY_HASH_SCAN = 0.25
"""Cost of finding rows by the hashes of their keys, in scans that digest each row: only the rows found are digested; measured."""

FEW_SCANS = 2
"""Scans for comparing rows up to which no finer partitioning is tried, since that costs a scan itself."""

MAX_SCANS = 4
"""Maximum number of scans of the whole table for comparing rows; with more, fetching all rows is faster."""

MAX_LISTED = 250_000
"""Maximum number of rows listed by key (about 60 MB); with more, all rows are fetched, or the rows of each slice in turn."""

MAX_DELETED = 500_000
"""Maximum number of keys in memory of rows that only the target has; no rows are fetched for them, so more of them fit."""

MAX_DIRECT = 1_000_000
"""Maximum number of rows to load directly if a retry should resume, which a direct load cannot; that many take under a minute."""

MAX_ROUNDS = 3
"""Maximum number of requests for rows that do not match their announced digests; rows that changed each time are reported."""


class Action(StrEnum):
    """The kind of a step. The first five compare or describe, and another step follows; the others end the plan."""

    DESCRIBE = auto()
    """Request the source's columns and number of rows, without digests."""
    PROBE = auto()
    """Compare a few segments, spread evenly over the table."""
    COMPARE_SEGMENTS = auto()
    """Compare all segments."""
    SAMPLE_ROWS = auto()
    """Compare the rows of some of the differing segments."""
    COMPARE_ROWS = auto()
    """Compare the rows of the next slice of differing segments."""

    LOAD_DIRECTLY = auto()
    """Load all rows into the empty target, without a staging table."""
    FETCH_ROWS = auto()
    """Fetch the rows that differ, by their listed keys."""
    FETCH_SLICES = auto()
    """Compare and fetch rows slice by slice, without a limit on their number."""
    FETCH_ALL = auto()
    """Fetch all rows."""
    DIVIDE = auto()
    """Divide the work among tasks."""
    REPORT_ROWS = auto()
    """Compare rows slice by slice, and fetch none."""
    DONE = auto()
    """Do nothing: source and target are equal, or, for a check, it is known whether they are."""


_QUESTIONS = frozenset({Action.DESCRIBE, Action.PROBE, Action.COMPARE_SEGMENTS, Action.SAMPLE_ROWS, Action.COMPARE_ROWS})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """The next step, with its arguments.

    :ivar partitioning: how to cut the tables; ``None`` to let the source choose
    :ivar cut: the reason for this partitioning
    :ivar stride: sample every n-th differing segment
    :ivar send_all: for tasks: whether to stage all rows; ``None`` if that depends on the comparison of rows
    """

    action: Action
    partitioning: Partitioning | None = None
    cut: Cut = Cut.USUAL
    stride: int = 1
    send_all: bool | None = None

    @property
    def asks(self) -> bool:
        """Whether this step adds to the facts, so that another one follows."""
        return self.action in _QUESTIONS


def plan_sync(facts: Facts) -> Step:
    """Return the next step of a sync in one process."""
    if facts.is_direct_allowed and not facts.has_window and facts.segments is None:
        if facts.source_rows is None:
            return Step(action=Action.DESCRIBE)
        is_small = not facts.is_resumable or facts.source_rows <= MAX_DIRECT
        if facts.source_rows and facts.can_load_directly and is_small:
            return Step(action=Action.LOAD_DIRECTLY)
    segments = facts.segments
    if segments is None or segments.is_probe:
        return _compare_segments(facts)
    if not segments.differing:
        return Step(action=Action.DONE)
    return _list_rows(facts, segments) if facts.has_window else _fetch(facts, segments)


def plan_slice(facts: Facts, *, send_all: bool | None) -> Step:
    """Return the next step of a task that downloads one slice of a table.

    If all rows are staged, an equal slice is staged, too, since the merge deletes rows that are not staged.

    :param send_all: what the comparing task decided; ``None`` to decide here
    """
    segments = facts.segments
    if segments is None or segments.is_probe:
        return _compare_segments(facts)
    if send_all:
        return Step(action=Action.FETCH_ALL)
    return _list_rows(facts, segments) if facts.has_window or send_all is not None else _fetch(facts, segments)


def plan_division(facts: Facts) -> Step:
    """Return the next step of the task that compares a table and divides the work among others."""
    segments = facts.segments
    if segments is None:
        return Step(action=Action.COMPARE_SEGMENTS)
    if not segments.differing:
        return Step(action=Action.DONE)
    if facts.keeps_rows and row_scans(segments) <= MAX_SCANS and (step := _look_for_wanted(facts)):
        return step
    if facts.has_window:
        return Step(action=Action.DIVIDE, send_all=False)
    if segments.source_rows > 2 * segments.target_rows:
        return Step(action=Action.DIVIDE, send_all=True)
    if segments.partitioning.scheme != "key_range":
        return Step(action=Action.DIVIDE)
    if facts.sample is None and (stride := _sample_stride(segments)):
        return Step(action=Action.SAMPLE_ROWS, stride=stride)
    return Step(action=Action.DIVIDE, send_all=facts.sample is not None and facts.sample.share_wanted > ALL_ABOVE)


def plan_check(facts: Facts) -> Step:
    """Return the next step of a check whether a sync would change anything; it compares rows only if the mode keeps some."""
    segments = facts.segments
    if segments is None:
        return _compare_segments(facts)
    if segments.is_probe and (facts.keeps_rows or not segments.differing):
        return Step(action=Action.COMPARE_SEGMENTS)
    step = _look_for_wanted(facts) if facts.keeps_rows and segments.differing else None
    return step or Step(action=Action.DONE)


def plan_diff(facts: Facts) -> Step:
    """Return the next step of a diff, which finds all rows that differ and fetches none."""
    segments = facts.segments
    if segments is None:
        return Step(action=Action.COMPARE_SEGMENTS)
    if not segments.differing:
        return Step(action=Action.DONE)
    return _cut_dense(segments) or Step(action=Action.REPORT_ROWS)


def _compare_segments(facts: Facts) -> Step:
    """Compare segments: first a few if that pays, then all, cut as finely as the few suggest."""
    segments, sample = facts.segments, facts.sample
    if segments is None:
        is_probed = facts.has_indexed_ranges and not facts.has_window and facts.target_rows >= MIN_PROBED_ROWS
        return Step(action=Action.PROBE if is_probed else Action.COMPARE_SEGMENTS)
    if segments.differing < MIN_SCATTERED:
        return Step(action=Action.COMPARE_SEGMENTS)
    if sample is None:
        return Step(action=Action.SAMPLE_ROWS)
    if sample.share_wanted > ALL_ABOVE:
        return Step(action=Action.COMPARE_SEGMENTS)
    rows = segments.estimated_rows
    compared = rows * segments.differing / segments.segments
    finer = _finer(segments.partitioning, rows, compared, sample.changed_among(2 * rows), cost=FINE_COST)
    return Step(action=Action.COMPARE_SEGMENTS, partitioning=finer)


def _fetch(facts: Facts, segments: SegmentFacts) -> Step:
    """Fetch all rows if that is faster, else those that differ."""
    if not segments.target_rows:
        return Step(action=Action.FETCH_ALL)
    if dense := _cut_dense(segments):
        return dense
    if row_scans(segments) > MAX_SCANS:
        return Step(action=Action.FETCH_ALL)
    if segments.cut is not Cut.SCATTERED and (stride := _sample_stride(segments)):
        sample = facts.sample
        if sample is None:
            return Step(action=Action.SAMPLE_ROWS, stride=stride)
        if sample.share_wanted > ALL_ABOVE:
            return Step(action=Action.FETCH_ALL)
        changed = sample.changed_among(segments.differing_rows)
        compared = segments.differing_rows / 2
        if finer := _finer(segments.partitioning, segments.source_rows, compared, changed, cost=EXTRA_SCAN):
            return Step(action=Action.COMPARE_SEGMENTS, partitioning=finer, cut=Cut.SCATTERED)
    if segments.target_rows - segments.source_rows > MAX_LISTED and not facts.keeps_rows:
        return Step(action=Action.FETCH_SLICES)
    limit = min(MAX_LISTED, ALL_ABOVE * segments.source_rows)
    return _compare_rows(facts, segments, limit, Action.FETCH_ALL)


def _look_for_wanted(facts: Facts) -> Step | None:
    """Compare rows, since segments may differ only by rows that the mode keeps; ``None`` once any row must be fetched."""
    rows = facts.rows or RowFacts()
    return None if rows.wanted else Step(action=Action.DONE if rows.is_complete else Action.COMPARE_ROWS)


def _list_rows(facts: Facts, segments: SegmentFacts) -> Step:
    """Fetch the rows that differ, whatever their number: since other target rows stay, rows to delete must be listed by key."""
    return _cut_dense(segments) or _compare_rows(facts, segments, MAX_LISTED, Action.FETCH_SLICES)


def _compare_rows(facts: Facts, segments: SegmentFacts, limit: float, beyond: Action) -> Step:
    """Compare rows slice by slice.

    :param limit: maximum number of listed rows to fetch
    :param beyond: the action if there are more, or too many rows that only the target has
    """
    rows = facts.rows or RowFacts(is_complete=not segments.differing)
    if rows.wanted > limit or rows.deleted > MAX_DELETED:
        return Step(action=beyond)
    if facts.keeps_rows and rows.is_complete and not rows.wanted:
        return Step(action=Action.DONE)
    return Step(action=Action.FETCH_ROWS if rows.is_complete else Action.COMPARE_ROWS)


def _cut_dense(segments: SegmentFacts) -> Step | None:
    """Cut the tables again, once, if the differing segments hold so many rows that comparing all of them would not pay.

    This happens if nearly all keys are close together and a few far away, or if the source's estimate of its rows was wrong. Hash
    partitionings are also cut finer if comparing the rows of all differing segments would take many scans.
    """
    if segments.cut is not Cut.USUAL or not segments.differing:
        return None
    partitioning, rows = segments.partitioning, segments.differing_rows
    count = segments_for(segments.source_rows, each=SEGMENT_ROWS)
    usual_rows = 2 * segments.source_rows // count
    if rows >= batch_sizes.SLICE_ROWS // 2 and rows > DENSE * usual_rows * segments.differing:
        return Step(
            action=Action.COMPARE_SEGMENTS,
            partitioning=Partitioning(scheme="row_hash", segment_count=count),
            cut=Cut.DENSE,
        )
    can_be_finer = 2 * partitioning.segment_count <= MAX_SEGMENTS and segments.differing < partitioning.segment_count
    if row_scans(segments) > FEW_SCANS and can_be_finer:
        finest = msgspec.structs.replace(partitioning, segment_count=MAX_SEGMENTS)
        return Step(action=Action.COMPARE_SEGMENTS, partitioning=finest, cut=Cut.DENSE)
    return None


def _sample_stride(segments: SegmentFacts) -> int:
    """Return n to sample every n-th differing segment; 0 if comparing the rows of all of them is cheap."""
    stride = segments.differing // PROBE_SEGMENTS
    return stride if stride >= 2 and segments.differing_rows > segments.source_rows else 0


def _finer(partitioning: Partitioning, rows: int, compared: float, changed: float, *, cost: float) -> Partitioning | None:
    """Return a finer partitioning if it saves the digests of enough rows to pay for its cost.

    :param rows: number of rows of the source
    :param compared: number of source rows that a comparison of rows would digest with the current partitioning
    :param changed: number of rows that differ
    :param cost: cost of the finer partitioning, in scans
    """
    count = segments_for(rows, each=FINE_ROWS)
    if rows < MIN_PROBED_ROWS or count <= partitioning.segment_count:
        return None
    compared_then = rows * (1 - (1 - 1 / count) ** changed)
    if (compared - compared_then) * ROW_COST <= cost * rows:
        return None
    return msgspec.structs.replace(partitioning, segment_count=count)


def row_scans(segments: SegmentFacts) -> float:
    """Return the number of whole-table scans for comparing the rows of all differing segments; key ranges need none."""
    scheme = segments.partitioning.scheme
    if scheme == "key_range":
        return 0
    slices = -(-segments.differing_rows // batch_sizes.rows_at_once(scheme))
    return slices * (KEY_HASH_SCAN if scheme == "key_hash" else 1)
