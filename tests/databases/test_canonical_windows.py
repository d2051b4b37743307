"""On every engine, a window chooses the same rows for texts, digests, segments and keys."""

from __future__ import annotations

import pytest

from airflow_provider_sync.protocol.v2.messages import Partitioning, Window
from tests.databases.canonical_rows import all_digests, expected_digests, expected_segments, insert, read, slice_of
from tests.scenario import Scenario

WINDOWS = {
    "timestamp": ("at", "2024-01-02 00:00:00.000000", "2024-01-04 00:00:00.000000", [2, 3]),
    "integer": ("id", "2", "5", [2, 3, 4]),
    "date": ("day", "2024-01-02", "2024-01-03", [2]),
    "empty": ("day", "2030-01-02", "2030-01-03", []),
    "decimal": ("price", "2.50", "10.00", [2, 3]),
}


@pytest.mark.parametrize(("column", "start", "end", "expected"), WINDOWS.values(), ids=WINDOWS)
def test_windows(on: Scenario, column: str, start: str, end: str, expected: list[int]) -> None:
    """A window includes its first value, but not its last and not NULL, in every request."""
    on.execute("CREATE TABLE item (id BIGINT NOT NULL PRIMARY KEY, at {DATETIME}, day DATE, price DECIMAL(8,2))")
    insert(
        on.database,
        on.describe("item"),
        [
            (1, "2024-01-01 23:59:59.999999", "2024-01-01", "2.49"),
            (2, "2024-01-02 00:00:00.000000", "2024-01-02", "2.50"),
            (3, "2024-01-03 12:00:00.500000", "2024-01-03", "9.99"),
            (4, "2024-01-04 00:00:00.000000", "2024-01-04", "10.00"),
            (5, None, None, None),
        ],
    )
    table_slice = slice_of(on.database, on.describe("item"), window=Window(column=column, start=start, end=end))
    partitioning = Partitioning(scheme="key_range", segment_count=2, low=1, high=5)

    with on.database.snapshot() as connection:
        rows = read(on.database, connection, table_slice)
        digests = expected_digests(table_slice, rows)
        bounds = on.database.digests.key_bounds(connection, table_slice)
        segments = on.database.digests.digest_segments(connection, table_slice, partitioning)
        assert all_digests(on.database, connection, table_slice, partitioning, [(-1, 2)]) == digests
        assert all_digests(on.database, connection, table_slice) == digests

    assert sorted(int(row[0] or b"") for row in rows) == expected
    assert bounds == ((expected[0], expected[-1]) if expected else None)
    assert dict(segments) == expected_segments(partitioning, digests)
