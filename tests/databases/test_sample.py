"""A few segments of a table: which, and that each engine digests them as it does in a scan of all."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.databases.partitioning import intersect_key_ranges
from airflow_provider_sync.databases.sample import digest_sample, has_indexed_segments, sample_numbers
from airflow_provider_sync.protocol.v2.messages import Partitioning
from tests.databases.canonical_rows import slice_of
from tests.scenario import Scenario

PARTITIONING = Partitioning(scheme="key_range", segment_count=64, low=1, high=640)


@given(parts=st.integers(1, 70_000), most=st.integers(1, 256))
def test_samples_are_spread_evenly(parts: int, most: int) -> None:
    """For any partitioning, a sample has at most the wanted number of segments, at equal distances."""
    numbers = list(sample_numbers(Partitioning(scheme="key_range", segment_count=parts, low=0, high=parts), most))
    assert 1 <= len(numbers) <= most
    assert set(numbers) <= set(range(parts))
    assert len({second - first for first, second in pairwise(numbers)}) <= 1
    assert 2 * len(numbers) >= min(parts, most)


@pytest.mark.parametrize(
    ("keys", "key_range", "expected"),
    [
        ((1, 9), None, (1, 9)),
        ((1, 9), (None, None), (1, 9)),
        ((1, 9), (3, None), (3, 9)),
        ((None, 9), (3, 7), (3, 7)),
        ((1, None), (None, 7), (1, 7)),
        ((1, 2), (3, 4), (3, 2)),
    ],
)
def test_ranges_are_narrowed(
    keys: tuple[int | None, int | None], key_range: tuple[int | None, int | None] | None, expected: tuple[int | None, int | None]
) -> None:
    """The intersection of two ranges; without one, the lowest key is above the highest."""
    assert intersect_key_ranges(keys, key_range) == expected


@pytest.mark.parametrize("key", ["PRIMARY KEY", "NOT NULL"])
def test_a_sample_is_what_a_scan_finds(on: Scenario, key: str) -> None:
    """By index or by scan, each segment of a sample has the same digest as among all."""
    rows = ", ".join(f"({n}, 'row {n}')" for n in range(1, 600) if n % 7)
    on.execute(f"CREATE TABLE item (id INTEGER {key}, name VARCHAR(20))", f"INSERT INTO item VALUES {rows}")
    with on.database.connect() as connection:
        table_slice = slice_of(on.database, on.database.catalog.describe(connection, "item"), key=["id"])
        assert has_indexed_segments(table_slice, PARTITIONING) == (key == "PRIMARY KEY")
        every = on.database.digests.digest_segments(connection, table_slice, PARTITIONING)
        found = digest_sample(on.database, connection, table_slice, PARTITIONING, 8)
        assert found == {number: every[number] for number in sample_numbers(PARTITIONING, 8) if number in every}
        assert len(found) == 7  # the last has no rows
        cut = digest_sample(on.database, connection, msgspec.structs.replace(table_slice, key_range=(101, 300)), PARTITIONING, 8)
    if key == "PRIMARY KEY":
        assert set(cut) == {number for number in found if 10 <= number < 30}
