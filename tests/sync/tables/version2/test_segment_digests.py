"""Arithmetic of segments: ranges of their numbers, and sums of digests that rows enter and leave."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.databases.table_slice import SegmentDigest
from airflow_provider_sync.protocol.v2.messages import Partitioning
from airflow_provider_sync.sync.tables.version2.segment_digests import (
    add_segments,
    ranges_at_source,
    segment_of,
    segment_ranges_of,
    subtract_segments,
)

SEGMENTS = st.dictionaries(
    st.integers(0, 20), st.builds(SegmentDigest, st.integers(1, 100), st.integers(0, 2**64 - 1)), max_size=20
)


@given(st.sets(st.integers(-1, 80)).map(sorted))
def test_ranges_hold_exactly_the_numbers(numbers: list[int]) -> None:
    """Ranges of segments ascend without touching, and have exactly the numbers."""
    segment_ranges = segment_ranges_of(numbers)
    assert [number for first, last in segment_ranges for number in range(first, last + 1)] == numbers
    assert all(last + 1 < first for (_, last), (first, _) in pairwise(segment_ranges))


@given(st.sets(st.integers(-1, 16)).map(sorted))
def test_the_source_is_asked_for_its_own_segments(numbers: list[int]) -> None:
    """Segments below the source's lowest and above its highest key are only the target's."""
    partitioning = Partitioning(scheme="key_range", segment_count=16, low=1, high=160)
    asked = ranges_at_source(segment_ranges_of(numbers), partitioning)
    assert [number for first, last in asked for number in range(first, last + 1)] == [n for n in numbers if 0 <= n < 16]


@given(SEGMENTS, SEGMENTS)
def test_what_is_added_can_be_subtracted(one: dict[int, SegmentDigest], other: dict[int, SegmentDigest]) -> None:
    """Adding and subtracting row digests changes nothing, and segments without rows are left out."""
    assert subtract_segments(add_segments(one, other), other) == one


@pytest.mark.parametrize(
    ("key", "number"), [("0", -1), ("1", 0), ("10", 0), ("11", 1), ("160", 15), ("161", 16), ("-5", -1), ("x", 16)]
)
def test_keys_outside_the_bounds_have_segments_of_their_own(key: str, number: int) -> None:
    """Keys below the lowest are in segment -1; higher keys and non-integers in the one after the last."""
    partitioning = Partitioning(scheme="key_range", segment_count=16, low=1, high=160)
    assert segment_of((key,), 0, partitioning) == number
