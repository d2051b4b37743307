"""The plan of a table's sync: whatever a comparison shows, there is one next step, and few steps lead to the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_sync.databases.slices import SEGMENT_ROWS, USUAL_SEGMENTS, segments_for
from airflow_provider_sync.protocol.v2.messages import MAX_SEGMENTS, Partitioning, Scheme
from airflow_provider_sync.sync.tables import plan
from airflow_provider_sync.sync.tables.facts import Cut, Facts, RowFacts, SampleFacts, SegmentFacts
from airflow_provider_sync.sync.tables.plan import Action, Step

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
        at_once = plan.rows_at_once(segments.partitioning.scheme)
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
    """Whatever the comparisons show, each is asked for a bounded number of times, and the plan ends as its purpose wants."""
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
    """No plan scans a table more than eight times, unless a window, tasks, or a check among rows that stay make it list rows."""
    walk = Walk(data, PLANS[name], facts)
    is_listed = name == "slice of listed rows" or facts.has_window or (name == "check" and facts.keeps_rows)
    slices = walk.taken[Action.COMPARE_ROWS]
    assert walk.scans - is_listed * slices <= 3 + 1 + plan.MAX_SCANS


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data(), facts=first_facts())
def test_keys_in_memory_are_bounded(name: str, data: st.DataObject, facts: Facts) -> None:
    """No plan holds more keys than the limits and one slice, and what is fetched by key is within the limits."""
    walk = Walk(data, PLANS[name], facts)
    at_once = max(map(plan.rows_at_once, SCHEMES))
    assert walk.most_held <= plan.MAX_LISTED + plan.MAX_DELETED + 2 * at_once
    if walk.end.action is Action.FETCH_ROWS and (rows := walk.facts.rows):
        assert rows.is_complete
        assert rows.wanted <= plan.MAX_LISTED
        assert rows.deleted <= plan.MAX_DELETED


@pytest.mark.parametrize("name", PLANS)
@given(data=st.data(), facts=first_facts())
def test_rows_outside_a_window_stay(name: str, data: st.DataObject, facts: Facts) -> None:
    """Inside a window only listed rows go, so that never all rows are sent, whose absence would delete the others."""
    walk = Walk(data, PLANS[name], msgspec.structs.replace(facts, has_window=True))
    if name != "slice of all rows":
        assert walk.end.action not in {Action.FETCH_ALL, Action.LOAD_DIRECTLY}
        assert not walk.end.send_all
    assert walk.taken[Action.PROBE] == 0


@pytest.mark.parametrize("name", ["sync", "slice", "division", "check"])
@given(data=st.data(), facts=first_facts())
def test_rows_that_stay_are_nothing_to_do(name: str, data: st.DataObject, facts: Facts) -> None:
    """Where rows stay that the source lacks, a plan is done only when segments are equal, or no row of theirs is wanted."""
    walk = Walk(data, PLANS[name], msgspec.structs.replace(facts, keeps_rows=True))
    segments, rows = walk.facts.segments, walk.facts.rows
    if walk.end.action is Action.DONE and segments and segments.differing:
        assert rows is not None
        assert rows.wanted > 0 if name == "check" and not rows.is_complete else rows.is_complete
        assert name == "check" or not rows.wanted


@given(data=st.data(), facts=first_facts())
def test_finer_segments_are_within_the_protocol(data: st.DataObject, facts: Facts) -> None:
    """A finer partitioning has more segments than the one before, a power of two for hashes, and no more than are allowed."""
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
    """A table is cut into a power of two of segments, of half the wanted rows at least, as long as that many are allowed."""
    count = segments_for(rows, each=each)
    assert count.bit_count() == 1
    assert count == MAX_SEGMENTS or rows // count <= each
    assert count == 1 or rows >= each * count // 2


@given(
    rows=st.dictionaries(st.integers(0, 60), st.integers(1, 30)),
    at_once=st.integers(1, 60),
)
def test_slices_hold_every_segment_once_and_no_more_rows_than_asked(rows: dict[int, int], at_once: int) -> None:
    """Slices keep the order, and without its last segment each has fewer rows than the limit."""
    numbers = sorted(rows)
    slices = list(plan.cut_slices(numbers, rows, at_once))
    assert [number for part in slices for number in part] == numbers
    assert all(sum(rows[number] for number in part[:-1]) < at_once for part in slices)


USUAL = SegmentFacts(
    partitioning=partitioning(),
    source_rows=60_000,
    target_rows=60_000,
    estimated_rows=60_000,
    segments=512,
    differing=500,
    differing_rows=2 * 59_000,
)
"""60,000 rows on both sides; nearly all segments differ."""

PROBED = SegmentFacts(
    partitioning=partitioning(),
    is_probe=True,
    source_rows=1_900,
    target_rows=1_900,
    estimated_rows=60_000,
    segments=16,
    differing=15,
    differing_rows=2 * 1_800,
)
"""The same by a probe."""

FEW_CHANGES = SampleFacts(wanted=30, changed=30, source_rows=1_900, rows=3_800)
MANY_CHANGES = SampleFacts(wanted=1_000, changed=1_000, source_rows=1_900, rows=3_800)
FINER = partitioning(count=4096)


def replaced(segments: SegmentFacts, **changes: object) -> SegmentFacts:
    """Return the same comparison with other values."""
    return msgspec.structs.replace(segments, **changes)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(Facts(is_direct_allowed=True), Step(action=Action.DESCRIBE), id="empty target"),
        pytest.param(
            Facts(is_direct_allowed=True, source_rows=5, can_load_directly=True),
            Step(action=Action.LOAD_DIRECTLY),
            id="empty target, rows at the source",
        ),
        pytest.param(
            Facts(is_direct_allowed=True, source_rows=0, can_load_directly=True),
            Step(action=Action.COMPARE_SEGMENTS),
            id="empty target, empty source",
        ),
        pytest.param(
            Facts(is_direct_allowed=True, is_resumable=True, source_rows=plan.MAX_DIRECT + 1, can_load_directly=True),
            Step(action=Action.COMPARE_SEGMENTS),
            id="empty target, too many rows to begin anew",
        ),
        pytest.param(
            Facts(is_direct_allowed=True, has_window=True, has_indexed_ranges=True, target_rows=60_000),
            Step(action=Action.COMPARE_SEGMENTS),
            id="window",
        ),
        pytest.param(
            Facts(has_indexed_ranges=True, target_rows=plan.MIN_PROBED_ROWS - 1),
            Step(action=Action.COMPARE_SEGMENTS),
            id="few rows",
        ),
        pytest.param(Facts(has_indexed_ranges=True, target_rows=60_000), Step(action=Action.PROBE), id="many rows"),
        pytest.param(
            Facts(segments=replaced(PROBED, differing=1)),
            Step(action=Action.COMPARE_SEGMENTS),
            id="one segment of a probe differs",
        ),
        pytest.param(Facts(segments=PROBED), Step(action=Action.SAMPLE_ROWS), id="several segments of a probe differ"),
        pytest.param(
            Facts(segments=PROBED, sample=FEW_CHANGES),
            Step(action=Action.COMPARE_SEGMENTS, partitioning=FINER),
            id="each in few rows",
        ),
        pytest.param(Facts(segments=PROBED, sample=MANY_CHANGES), Step(action=Action.COMPARE_SEGMENTS), id="each in most rows"),
        pytest.param(Facts(segments=replaced(USUAL, differing=0)), Step(action=Action.DONE), id="equal"),
        pytest.param(
            Facts(segments=replaced(USUAL, target_rows=0, differing_rows=60_000)),
            Step(action=Action.FETCH_ALL),
            id="empty target that rows are staged for",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, differing=1)),
            Step(
                action=Action.COMPARE_SEGMENTS,
                partitioning=Partitioning(scheme="row_hash", segment_count=512),
                cut=Cut.DENSE,
            ),
            id="nearly all rows in one segment",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, partitioning=partitioning("row_hash", 16_384), differing=1_600, differing_rows=10**6)),
            Step(
                action=Action.COMPARE_SEGMENTS,
                partitioning=partitioning("row_hash", MAX_SEGMENTS),
                cut=Cut.DENSE,
            ),
            id="three scans of hashes",
        ),
        pytest.param(
            Facts(
                segments=replaced(
                    USUAL, partitioning=partitioning("row_hash", MAX_SEGMENTS), differing=60_000, differing_rows=2 * 10**6
                )
            ),
            Step(action=Action.FETCH_ALL),
            id="more scans of hashes than all rows are worth",
        ),
        pytest.param(Facts(segments=USUAL), Step(action=Action.SAMPLE_ROWS, stride=31), id="nearly all segments differ"),
        pytest.param(
            Facts(segments=USUAL, sample=MANY_CHANGES), Step(action=Action.FETCH_ALL), id="nearly all segments in most rows"
        ),
        pytest.param(
            Facts(segments=USUAL, sample=msgspec.structs.replace(FEW_CHANGES, wanted=15, changed=15)),
            Step(action=Action.COMPARE_SEGMENTS, partitioning=FINER, cut=Cut.SCATTERED),
            id="nearly all segments in few rows",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, cut=Cut.SCATTERED, partitioning=FINER)),
            Step(action=Action.COMPARE_ROWS),
            id="cut again already",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, differing=3, differing_rows=700)), Step(action=Action.COMPARE_ROWS), id="few segments"
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, differing=3, differing_rows=700), rows=RowFacts(wanted=10)),
            Step(action=Action.COMPARE_ROWS),
            id="not all slices compared",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, differing=3, differing_rows=700), rows=RowFacts(wanted=10, is_complete=True)),
            Step(action=Action.FETCH_ROWS),
            id="all slices compared",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, differing=3, differing_rows=700), rows=RowFacts(wanted=30_001)),
            Step(action=Action.FETCH_ALL),
            id="more than half of the rows differ",
        ),
        pytest.param(
            Facts(has_window=True, segments=replaced(USUAL, differing=3, differing_rows=700), rows=RowFacts(wanted=30_001)),
            Step(action=Action.COMPARE_ROWS),
            id="more than half of the rows of a window differ",
        ),
        pytest.param(
            Facts(has_window=True, segments=USUAL, rows=RowFacts(wanted=plan.MAX_LISTED + 1)),
            Step(action=Action.FETCH_SLICES),
            id="too many rows of a window to list",
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, differing=3, target_rows=plan.MAX_LISTED + 60_001, differing_rows=700)),
            Step(action=Action.FETCH_SLICES),
            id="too many rows to delete to list",
        ),
    ],
)
def test_next_step_of_a_sync(facts: Facts, expected: Step) -> None:
    """What is known leads to exactly this step."""
    assert plan.plan_sync(facts) == expected


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        pytest.param(Facts(), Step(action=Action.COMPARE_SEGMENTS), id="nothing known"),
        pytest.param(Facts(segments=replaced(USUAL, differing=0)), Step(action=Action.DONE), id="equal"),
        pytest.param(Facts(has_window=True, segments=USUAL), Step(action=Action.DIVIDE, send_all=False), id="window"),
        pytest.param(
            Facts(segments=replaced(USUAL, target_rows=29_999)), Step(action=Action.DIVIDE, send_all=True), id="most rows missing"
        ),
        pytest.param(
            Facts(segments=replaced(USUAL, partitioning=partitioning("key_hash"))), Step(action=Action.DIVIDE), id="no ranges"
        ),
        pytest.param(Facts(segments=USUAL), Step(action=Action.SAMPLE_ROWS, stride=31), id="nearly all segments differ"),
        pytest.param(Facts(segments=USUAL, sample=FEW_CHANGES), Step(action=Action.DIVIDE, send_all=False), id="few rows"),
        pytest.param(Facts(segments=USUAL, sample=MANY_CHANGES), Step(action=Action.DIVIDE, send_all=True), id="most rows"),
        pytest.param(Facts(segments=replaced(USUAL, differing=3)), Step(action=Action.DIVIDE, send_all=False), id="few segments"),
    ],
)
def test_next_step_of_a_division(facts: Facts, expected: Step) -> None:
    """A task that compares decides as early as it can whether the others stage all rows."""
    assert plan.plan_division(facts) == expected


@pytest.mark.parametrize(("rows", "count"), [(0, 1), (1, 1), (50_000, 1), (50_001, 2), (10**7, 8)])
def test_tasks_are_worth_their_start(rows: int, count: int) -> None:
    """There are as many tasks as wanted, if each has enough rows, and one where the key has no ranges."""
    assert plan.task_count(rows, 8, "key_range") == count
    assert plan.task_count(rows, 8, "row_hash") == 1


def test_only_some_ranges_are_fetched_whole() -> None:
    """A resumed download fetches the ranges that it lacks, one request each; with too many of them it compares rows."""
    ranges = [(number, number) for number in range(0, 2 * plan.MAX_RANGES, 2)]
    assert plan.ranges_to_fetch(ranges) == ranges
    assert not plan.ranges_to_fetch([*ranges, (1000, 1000)])


def test_usual_segments_are_those_of_the_server() -> None:
    """The number of rows by which a source cuts its table is the one by which the plan tells dense segments from usual ones."""
    assert segments_for(60_000, each=SEGMENT_ROWS) == 512
    assert USUAL_SEGMENTS < MAX_SEGMENTS
