"""The next step of a plan, case by case."""

from __future__ import annotations

import msgspec
import pytest

from airflow_provider_sync.databases.partitioning import SEGMENT_ROWS, USUAL_SEGMENTS, segments_for
from airflow_provider_sync.protocol.v2.messages import MAX_SEGMENTS, Partitioning
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from airflow_provider_sync.sync.tables.version2.facts import Cut, Facts, RowFacts, SampleFacts, SegmentFacts
from airflow_provider_sync.sync.tables.version2.plan import Action, Step
from tests.sync.tables.version2.test_plan import partitioning

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
    """These facts lead to exactly this step."""
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
    """The comparing task decides as early as possible whether the others stage all rows."""
    assert plan.plan_division(facts) == expected


@pytest.mark.parametrize(("rows", "count"), [(0, 1), (1, 1), (50_000, 1), (50_001, 2), (10**7, 8)])
def test_tasks_are_worth_their_start(rows: int, count: int) -> None:
    """There are as many tasks as wanted if each has enough rows, and one if the key has no ranges."""
    assert batch_sizes.task_count(rows, 8, "key_range") == count
    assert batch_sizes.task_count(rows, 8, "row_hash") == 1


def test_only_some_ranges_are_fetched_whole() -> None:
    """A resumed download requests each missing range; with too many of them, it compares rows."""
    ranges = [(number, number) for number in range(0, 2 * batch_sizes.MAX_RANGES, 2)]
    assert batch_sizes.ranges_to_fetch(ranges) == ranges
    assert not batch_sizes.ranges_to_fetch([*ranges, (1000, 1000)])


def test_usual_segments_are_those_of_the_server() -> None:
    """The plan's usual number of rows in a segment is that of the source."""
    assert segments_for(60_000, each=SEGMENT_ROWS) == 512
    assert USUAL_SEGMENTS < MAX_SEGMENTS
