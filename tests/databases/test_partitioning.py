"""Ranges of integer keys, without a database."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.databases.partitioning import cut_key_ranges, key_range_of, missing_segment_ranges
from airflow_provider_sync.protocol.v2.messages import Partitioning

PARTITIONING = Partitioning(scheme="key_range", segment_count=4, low=0, high=10)  # 3 keys in each


@pytest.mark.parametrize(
    ("segment_range", "expected"),
    [
        ((0, 0), (0, 2)),
        ((3, 3), (9, 10)),
        ((-1, 1), (None, 5)),
        ((2, 4), (6, None)),
        ((4, 4), (11, None)),
        ((-1, -1), (None, -1)),
    ],
)
def test_keys_of_segments(segment_range: tuple[int, int], expected: tuple[int | None, int | None]) -> None:
    """A range of segments has the keys of its first to its last segment, and no end beyond the partitioning."""
    assert key_range_of(PARTITIONING, segment_range) == expected


@pytest.mark.parametrize(
    ("numbers", "held", "expected"),
    [
        ([], set(), []),
        ([1, 2, 5], set(), [(1, 5)]),
        ([1, 2, 5], {2, 3}, [(1, 1), (5, 5)]),
        ([1, 2, 5, 9], {7}, [(1, 5), (9, 9)]),
        ([1, 2], {1, 2}, []),
    ],
)
def test_absent_segments(numbers: list[int], held: set[int], expected: list[tuple[int, int]]) -> None:
    """Missing segments are ranges without existing segments."""
    assert missing_segment_ranges(numbers, held) == expected


@given(
    st.dictionaries(st.integers(-1, 64), st.integers(1, 1_000), min_size=1),
    st.integers(1, 20),
    st.integers(-50, 50),
    st.booleans(),
)
def test_parts_are_disjoint_and_have_all_keys(rows: dict[int, int], parts: int, low: int, whole: bool) -> None:
    """Slices ascend without overlap, hold every row once, within the maximum number, and leave no gap."""
    partitioning = Partitioning(scheme="key_range", segment_count=64, low=low, high=low + 1_000)
    found = cut_key_ranges(partitioning, rows, parts, whole=whole)
    assert 1 <= len(found) <= parts
    assert sum(count for _, count in found) == sum(rows.values())
    for ((_, high), _), ((next_low, _), _) in pairwise(found):
        assert high is not None
        assert next_low is not None
        assert high < next_low
        assert not whole or high == next_low - 1
    ends = found[0][0][0], found[-1][0][1]
    if whole:
        assert ends == (None, None)
    assert (ends[0] is None) == (whole or -1 in rows)
    assert (ends[1] is None) == (whole or 64 in rows)


@given(st.dictionaries(st.integers(0, 63), st.integers(50, 60), min_size=40), st.integers(1, 8))
def test_parts_are_about_equal(rows: dict[int, int], parts: int) -> None:
    """No slice has more than its share of the rows and one segment."""
    found = cut_key_ranges(Partitioning(scheme="key_range", segment_count=64, low=0, high=1_000), rows, parts, whole=False)
    assert max(count for _, count in found) <= sum(rows.values()) / parts + 60
