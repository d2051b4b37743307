"""On every engine, rows fall into the same segments, and the digest of a segment is the sum of theirs."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.messages import Partitioning
from tests.databases.canonical_rows import (
    EVERYTHING,
    all_digests,
    create_keyed,
    expected_digests,
    expected_segments,
    insert,
    read,
    segment_of,
    slice_of,
)
from tests.scenario import Scenario

KEYS = {
    "one": [7],
    "gaps": [-1000, -3, 0, 1, 2, 500, 10_000, 10_001],
    "dense": list(range(-20, 300)),
    "extremes": [-(2**63), -1, 0, 5, 2**63 - 1],
    "empty": [],
}

RANGES = [
    Partitioning(scheme="key_range", segment_count=1, low=7, high=7),
    Partitioning(scheme="key_range", segment_count=4, low=-1000, high=10_001),
    Partitioning(scheme="key_range", segment_count=64, low=-3, high=255),
    Partitioning(scheme="key_range", segment_count=16, low=0, high=20),  # rows below, rows above, and widths that are rounded up
    Partitioning(scheme="key_range", segment_count=1024, low=-(2**63), high=2**63 - 1),
    Partitioning(scheme="key_range", segment_count=1, low=0, high=-1),
]


@pytest.mark.parametrize("partitioning", RANGES, ids=lambda partitioning: f"{partitioning.segment_count}-from-{partitioning.low}")
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_ranges(on: Scenario, keys: list[int], partitioning: Partitioning) -> None:
    """A segment's digest is the sum of its rows', and rows outside the partitioning have segments below and above it."""
    create_keyed(on, keys)
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        segments = on.database.digests.digest_segments(connection, table_slice, partitioning)
        bounds = on.database.digests.key_bounds(connection, table_slice)
        everything = all_digests(on.database, connection, table_slice, partitioning, [(-1, partitioning.segment_count)])

    assert dict(segments) == expected_segments(partitioning, digests)
    assert bounds == ((min(keys), max(keys)) if keys else None)
    assert len(digests) == len(keys)
    assert everything == digests
    assert [int(key) for (key,) in everything] == keys


@pytest.mark.parametrize(
    "segment_ranges", [[(0, 0)], [(-1, -1)], [(16, 16)], [(3, 5), (8, 8)], [(-1, 0), (2, 3), (15, 16)], []], ids=str
)
def test_rows_of_some_ranges(on: Scenario, segment_ranges: list[tuple[int, int]]) -> None:
    """Only rows of the requested segments are returned, in key order."""
    partitioning = Partitioning(scheme="key_range", segment_count=16, low=0, high=99)
    keys = [*range(-5, 50), *range(70, 120)]
    create_keyed(on, keys)
    table_slice = slice_of(on.database, on.describe("item"))

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        found = all_digests(on.database, connection, table_slice, partitioning, segment_ranges)

    assert list(found.items()) == [
        ((str(key),), digests[str(key),])
        for key in keys
        if any(first <= segment_of(partitioning, (str(key),), 0) <= last for first, last in segment_ranges)
    ]


def test_unsigned_maxima(on: Scenario) -> None:
    """Keys up to 2**64 - 1 are distinguished and put into segments, if a column can hold them."""
    sql_type = {"mysql": "BIGINT UNSIGNED", "postgresql": "BIGINT", "sqlite": "BIGINT", "duckdb": "UBIGINT"}[on.dialect]
    on.execute(f"CREATE TABLE item (id {sql_type} NOT NULL PRIMARY KEY, v VARCHAR(50))")
    highest = 2**64 - 1 if on.dialect == "mysql" else 2**63 - 1
    keys = [0, 1, 2**62, 2**63 - 1, *range(highest - 5, highest + 1)]
    insert(on.database, on.describe("item"), [(key, "x") for key in sorted(set(keys))])
    table_slice = slice_of(on.database, on.describe("item"))
    partitioning = Partitioning(scheme="key_range", segment_count=8, low=0, high=highest)
    narrow = Partitioning(scheme="key_range", segment_count=4, low=highest - 3, high=highest)

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        for cut in (partitioning, narrow):
            assert dict(on.database.digests.digest_segments(connection, table_slice, cut)) == expected_segments(cut, digests)
            assert all_digests(on.database, connection, table_slice, cut, [(-1, cut.segment_count)]) == digests
        assert on.database.digests.key_bounds(connection, table_slice) == (0, highest)


def check_segments(on: Scenario, partitioning: Partitioning) -> None:
    """Check the digests of all segments, and those of the rows in a quarter of them and in one more."""
    table_slice, parts = slice_of(on.database, on.describe("item")), partitioning.segment_count
    segment_ranges = [(0, parts // 4), (parts // 2, parts // 2)] if parts > 2 else [(0, 0)]

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        segments = on.database.digests.digest_segments(connection, table_slice, partitioning)
        found = all_digests(on.database, connection, table_slice, partitioning, segment_ranges)

    assert dict(segments) == expected_segments(partitioning, digests)
    wanted = {number for first, last in segment_ranges for number in range(first, last + 1)}
    assert found == {key: digest for key, digest in digests.items() if segment_of(partitioning, key, digest) in wanted}


@pytest.mark.parametrize("keys", [KEYS["dense"], KEYS["empty"]], ids=["dense", "empty"])
@pytest.mark.parametrize("parts", [1, 2, 8, 1024])
def test_buckets(on: Scenario, parts: int, keys: list[int]) -> None:
    """The highest bits of their digests assign rows to segments."""
    create_keyed(on, keys)
    check_segments(on, Partitioning(scheme="row_hash", segment_count=parts))


@pytest.mark.parametrize("key", [("code",), ("code", "id")], ids=str)
@pytest.mark.parametrize("parts", [1, 8, 1024])
def test_hashes_of_keys(on: Scenario, parts: int, key: tuple[str, ...]) -> None:
    """The hashes of their keys assign rows to segments, for any bytes, on databases that support it."""
    if "key_hash" not in on.database.digests.schemes:
        pytest.skip("cuts tables by ranges and digests only")
    on.execute(f"CREATE TABLE item (id BIGINT NOT NULL, code VARCHAR(20) NOT NULL, v VARCHAR(9), PRIMARY KEY ({', '.join(key)}))")
    insert(on.database, on.describe("item"), [(number, f"{number} é|東\t{number % 3}", None) for number in range(300)])
    check_segments(on, Partitioning(scheme="key_hash", segment_count=parts))


def test_sums_of_many_rows(on: Scenario) -> None:
    """Sums far beyond 64 bits are exact, modulo 2**64."""
    create_keyed(on, list(range(5_000)))
    table_slice = slice_of(on.database, on.describe("item"))
    whole = Partitioning(scheme="key_range", segment_count=1, low=0, high=4_999)

    with on.database.snapshot() as connection:
        digests = expected_digests(table_slice, read(on.database, connection, table_slice))
        by_range = on.database.digests.digest_segments(connection, table_slice, whole)
        by_bucket = on.database.digests.digest_segments(connection, table_slice, EVERYTHING)

    assert sum(digests.values()) > 2**70
    assert dict(by_range) == dict(by_bucket) == expected_segments(EVERYTHING, digests)
