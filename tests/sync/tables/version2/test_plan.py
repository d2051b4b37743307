"""The plan of a table's sync: whatever a comparison shows, there is one next step, and few steps lead to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_sync.databases.partitioning import segments_for
from airflow_provider_sync.protocol.v2.messages import MAX_SEGMENTS, Partitioning, Scheme
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from airflow_provider_sync.sync.tables.version2.facts import Facts, RowFacts, SampleFacts, SegmentFacts
from airflow_provider_sync.sync.tables.version2.plan import Action, Step

NextStep = Callable[[Facts], Step]

PLANS: Mapping[str, NextStep] = {
    "sync": plan.plan_sync,
    "slice": partial(plan.plan_slice, send_all=None),
    "slice of all rows": partial(plan.plan_slice, send_all=True),
    "slice of listed rows": partial(plan.plan_slice, send_all=False),
    "division": plan.plan_division,
    "check": plan.plan_check,
    "diff": plan.plan_diff,
}

ENDS: Mapping[str, set[Action]] = {
    "sync": {Action.LOAD_DIRECTLY, Action.FETCH_ROWS, Action.FETCH_SLICES, Action.FETCH_ALL, Action.DONE},
    "slice": {Action.FETCH_ROWS, Action.FETCH_SLICES, Action.FETCH_ALL},
    "slice of all rows": {Action.FETCH_ALL},
    "slice of listed rows": {Action.FETCH_ROWS, Action.FETCH_SLICES},
    "division": {Action.DIVIDE, Action.DONE},
    "check": {Action.DONE},
    "diff": {Action.REPORT_ROWS, Action.DONE},
}
"""How each plan may end."""

SCHEMES: tuple[Scheme, ...] = ("key_range", "row_hash", "key_hash")
ROWS = st.one_of(st.integers(0, 300), st.integers(0, 2_000_000), st.integers(0, 10**9))


def partitioning(scheme: Scheme = "key_range", count: int = 512) -> Partitioning:
    """Cut a table, whose keys are the numbers from 1 to 60,000 where it is cut into ranges."""
    low, high = (1, 60_000) if scheme == "key_range" else (0, -1)
    return Partitioning(scheme=scheme, segment_count=count, low=low, high=high)


class Walk:
    """Goes from step to step, with facts that hypothesis draws: no table behaves as unkindly.

    :ivar taken: how often each action was asked for
    :ivar scans: of the whole table that each side has made
    :ivar most_held: keys that were in memory at once, at most
    :ivar end: the last step
    """

    def __init__(self, data: st.DataObject, next_step: NextStep, facts: Facts) -> None:
        self.draw = data.draw
        self.scheme = self.draw(st.sampled_from(SCHEMES))
        self.taken: Counter[Action] = Counter()
        self.scans = 0.0
        self.most_held = 0
        self.slices_left = 0
        while (step := next_step(facts)).asks:
            assert step == next_step(facts)
            self.taken[step.action] += 1
            assert self.taken.total() < 10_000, "the plan does not end"
            facts = self.answer(facts, step)
        self.end = step
        self.facts = facts

    def answer(self, facts: Facts, step: Step) -> Facts:
        """Do a step, and add what it shows to the facts."""
        match step.action:
            case Action.DESCRIBE:
                return msgspec.structs.replace(facts, source_rows=self.draw(ROWS), can_load_directly=self.draw(st.booleans()))
            case Action.PROBE | Action.COMPARE_SEGMENTS:
                segments = self.segments(step)
                self.scans += not segments.is_probe
                return facts.with_segments(segments)
            case Action.SAMPLE_ROWS:
                assert facts.segments is not None
                assert 1 <= step.stride <= max(1, facts.segments.differing // plan.PROBE_SEGMENTS)
                self.scans += scan_cost(facts.segments)
                source_rows, target_rows = self.draw(ROWS), self.draw(ROWS)
                wanted = self.draw(st.integers(0, source_rows))
                changed = self.draw(st.integers(wanted, source_rows + target_rows))
                sample = SampleFacts(wanted=wanted, changed=changed, source_rows=source_rows, rows=source_rows + target_rows)
                return msgspec.structs.replace(facts, sample=sample)
            case _:
                return msgspec.structs.replace(facts, rows=self.slice(facts))

    def segments(self, step: Step) -> SegmentFacts:
        """Compare segments; the tables may be others each time, and a source may refuse a probe."""
        cut = step.partitioning or partitioning(self.scheme, 1 << self.draw(st.integers(0, 14)))
        source_rows, target_rows = self.draw(ROWS), self.draw(ROWS)
        segments = self.draw(st.integers(0, cut.segment_count))
        differing = self.draw(st.integers(0, segments))
        return SegmentFacts(
            partitioning=cut,
            cut=step.cut,
            is_probe=step.action is Action.PROBE and self.draw(st.booleans()),
            estimated_rows=self.draw(ROWS),
            source_rows=source_rows,
            target_rows=target_rows,
            segments=segments,
            differing=differing,
            differing_rows=self.draw(st.integers(0, source_rows + target_rows)) if differing else 0,
        )

    def slice(self, facts: Facts) -> RowFacts:
        """Compare the rows of one more slice."""
        segments, rows = facts.segments, facts.rows
        assert segments is not None
        at_once = batch_sizes.rows_at_once(segments.partitioning.scheme)
        if rows is None:
            rows, self.slices_left = RowFacts(), -(-segments.differing_rows // at_once)
        self.slices_left -= 1
        self.scans += scan_cost(segments)
        wanted, deleted = self.draw(st.integers(0, at_once)), self.draw(st.integers(0, at_once))
        self.most_held = max(self.most_held, rows.wanted + wanted + rows.deleted + deleted)
        return RowFacts(wanted=rows.wanted + wanted, deleted=rows.deleted + deleted, is_complete=self.slices_left <= 0)


def scan_cost(segments: SegmentFacts) -> float:
    """Return what it takes to find the rows of some segments, in scans."""
    return {"key_range": 0, "row_hash": 1, "key_hash": plan.KEY_HASH_SCAN}[segments.partitioning.scheme]


@st.composite
def first_facts(draw: st.DrawFn) -> Facts:
    """Return what a target may tell before anything is asked."""
    return Facts(
        has_window=draw(st.booleans()),
        keeps_rows=draw(st.booleans()),
        is_direct_allowed=draw(st.booleans()),
        is_resumable=draw(st.booleans()),
        has_indexed_ranges=draw(st.booleans()),
        target_rows=draw(ROWS),
    )


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data(), facts=first_facts())
def test_a_plan_ends_after_few_questions(name: str, data: st.DataObject, facts: Facts) -> None:
    """For any results, each comparison is requested a limited number of times, and the plan ends with its purpose's step."""
    walk = Walk(data, PLANS[name], facts)
    # A slice in which only rows differ that stay has nothing to stage.
    assert walk.end.action in ENDS[name] | ({Action.DONE} if facts.keeps_rows and "slice" in name else set())
    assert walk.taken[Action.DESCRIBE] <= 1
    assert walk.taken[Action.PROBE] <= 1
    assert walk.taken[Action.COMPARE_SEGMENTS] <= 3
    assert walk.taken[Action.SAMPLE_ROWS] <= 2


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data(), facts=first_facts())
def test_scans_are_bounded(name: str, data: st.DataObject, facts: Facts) -> None:
    """No plan scans a table more than eight times, except for windows, tasks, and checks among kept rows."""
    walk = Walk(data, PLANS[name], facts)
    is_listed = name == "slice of listed rows" or facts.has_window or (name == "check" and facts.keeps_rows)
    slices = walk.taken[Action.COMPARE_ROWS]
    assert walk.scans - is_listed * slices <= 3 + 1 + plan.MAX_SCANS


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data(), facts=first_facts())
def test_keys_in_memory_are_bounded(name: str, data: st.DataObject, facts: Facts) -> None:
    """No plan holds more keys than the limits and one slice, and fetches by key within the limits."""
    walk = Walk(data, PLANS[name], facts)
    at_once = max(map(batch_sizes.rows_at_once, SCHEMES))
    assert walk.most_held <= plan.MAX_LISTED + plan.MAX_DELETED + 2 * at_once
    if walk.end.action is Action.FETCH_ROWS and (rows := walk.facts.rows):
        assert rows.is_complete
        assert rows.wanted <= plan.MAX_LISTED
        assert rows.deleted <= plan.MAX_DELETED


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data(), facts=first_facts())
def test_rows_outside_a_window_stay(name: str, data: st.DataObject, facts: Facts) -> None:
    """Inside a window, only listed rows are deleted, so the whole table is never sent."""
    walk = Walk(data, PLANS[name], msgspec.structs.replace(facts, has_window=True))
    if name != "slice of all rows":
        assert walk.end.action not in {Action.FETCH_ALL, Action.LOAD_DIRECTLY}
        assert not walk.end.send_all
    assert walk.taken[Action.PROBE] == 0


@pytest.mark.parametrize("name", ["sync", "slice", "division", "check"])
@given(data=st.data(), facts=first_facts())
def test_rows_that_stay_are_nothing_to_do(name: str, data: st.DataObject, facts: Facts) -> None:
    """With kept rows, a plan is done only if segments are equal, or none of their rows is wanted."""
    walk = Walk(data, PLANS[name], msgspec.structs.replace(facts, keeps_rows=True))
    segments, rows = walk.facts.segments, walk.facts.rows
    if walk.end.action is Action.DONE and segments and segments.differing:
        assert rows is not None
        assert rows.wanted > 0 if name == "check" and not rows.is_complete else rows.is_complete
        assert name == "check" or not rows.wanted


@given(data=st.data(), facts=first_facts())
def test_finer_segments_are_within_the_protocol(data: st.DataObject, facts: Facts) -> None:
    """A finer partitioning has more segments, within the limit, and a power of two for hashes."""
    steps: list[Step] = []

    def next_step(known: Facts) -> Step:
        steps.append(plan.plan_sync(known))
        return steps[-1]

    Walk(data, next_step, facts)
    for cut in filter(None, (step.partitioning for step in steps)):
        assert 1 <= cut.segment_count <= MAX_SEGMENTS
        assert cut.segment_count.bit_count() == 1


@given(rows=ROWS, each=st.integers(1, 1000))
@example(rows=0, each=1)
def test_segments_hold_about_as_many_rows_as_wanted(rows: int, each: int) -> None:
    """The number of segments is a power of two, with at least half of the wanted rows each, within the limit."""
    count = segments_for(rows, each=each)
    assert count.bit_count() == 1
    assert count == MAX_SEGMENTS or rows // count <= each
    assert count == 1 or rows >= each * count // 2


@given(
    rows=st.dictionaries(st.integers(0, 60), st.integers(1, 30)),
    at_once=st.integers(1, 60),
)
def test_slices_hold_every_segment_once_and_no_more_rows_than_asked(rows: dict[int, int], at_once: int) -> None:
    """Slices keep the order; without its last segment, each has fewer rows than the limit."""
    numbers = sorted(rows)
    slices = list(batch_sizes.cut_slices(numbers, rows, at_once))
    assert [number for part in slices for number in part] == numbers
    assert all(sum(rows[number] for number in part[:-1]) < at_once for part in slices)
