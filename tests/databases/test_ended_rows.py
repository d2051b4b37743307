"""Rows that ended do not count: every engine leaves them out wherever a table is read, counted, digested or hashed."""

from __future__ import annotations

import msgspec
import pytest

from airflow_provider_sync.databases.table_slice import TableSlice
from airflow_provider_sync.databases.version1_hash import hash_table
from airflow_provider_sync.protocol.v2.messages import Partitioning, Window
from tests.databases.canonical_rows import slice_of
from tests.scenario import Scenario

PARTITIONINGS = [
    Partitioning(scheme="key_range", segment_count=4, low=1, high=8),
    Partitioning(scheme="row_hash", segment_count=4),
    Partitioning(scheme="key_hash", segment_count=4),
]


def slices(on: Scenario) -> tuple[TableSlice, TableSlice]:
    """Return a table with ended rows, without them, and one that never had any."""
    on.execute(
        "CREATE TABLE partly (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20), ended {DATETIME} NULL)",
        "CREATE TABLE plain (id INTEGER NOT NULL PRIMARY KEY, v VARCHAR(20))",
        "INSERT INTO partly VALUES (1, 'a', NULL), (5, 'c', NULL)",
        "INSERT INTO partly VALUES (2, 'b', '2026-01-01 00:00:00'), (6, 'd', '2026-01-01 00:00:00')",
        "INSERT INTO plain VALUES (1, 'a'), (5, 'c')",
    )
    described = on.describe("partly")
    ended = msgspec.structs.replace(described, columns=described.columns[:2], ended_at=described.column("ended"))
    return slice_of(on.database, ended), slice_of(on.database, on.describe("plain"))


def test_ended_rows_are_left_out(on: Scenario) -> None:
    """Counts, rows, texts, digests and the version 1 hash ignore ended rows."""
    ended, plain = slices(on)
    reader, digests = on.database.reader, on.database.digests
    keys = [(str(number),) for number in range(1, 9)]
    with on.database.snapshot() as connection:
        for table_slice in (ended, plain):
            table = table_slice.table
            assert reader.count(connection, table) == 2
            assert [row for batch in reader.read(connection, table, table.columns) for row in batch] == [(1, "a"), (5, "c")]
            assert b"".join(block for _, block in reader.read_text(connection, table_slice)) == b"1\ta\n5\tc\n"
            assert sum(rows for rows, _ in reader.read_text(connection, table_slice, keys)) == 2
            assert digests.key_bounds(connection, table_slice) == (1, 5)
        for partitioning in PARTITIONINGS:
            if partitioning.scheme not in digests.schemes:
                continue
            found = digests.digest_segments(connection, ended, partitioning)
            assert dict(found) == dict(digests.digest_segments(connection, plain, partitioning))
            ranges = ((0, 3),)
            found_rows = [row for batch in digests.digest_rows(connection, ended, partitioning, ranges) for row in batch]
            plain_rows = [row for batch in digests.digest_rows(connection, plain, partitioning, ranges) for row in batch]
            assert sorted(found_rows) == sorted(plain_rows)
        found_rows = [row for batch in digests.digest_keys(connection, ended, keys) for row in batch]
        assert sorted(found_rows) == sorted(row for batch in digests.digest_keys(connection, plain, keys) for row in batch)
        assert hash_table(on.database, connection, ended.table) == hash_table(on.database, connection, plain.table)


@pytest.mark.parametrize("key_range", [None, (1, 5)])
def test_with_a_window(on: Scenario, key_range: tuple[int, int] | None) -> None:
    """Inside a window and a key range, ended rows are ignored, too."""
    ended, _ = slices(on)
    narrow = msgspec.structs.replace(ended, window=Window(column="id", start="2", end="7"), key_range=key_range)
    with on.database.snapshot() as connection:
        (segment,) = on.database.digests.digest_segments(connection, narrow, PARTITIONINGS[1]).values()
        assert segment.rows == 1
        assert [key for batch in on.database.digests.digest_keys(connection, narrow, [("5",), ("6",)]) for key, _ in batch] == [
            ("5",)
        ]
