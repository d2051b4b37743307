"""Rows that pass as lines have the digest of the table that holds them, on every engine."""

from __future__ import annotations

import pytest

from airflow_provider_sync.databases.table_slice import SegmentDigest
from airflow_provider_sync.protocol.v2.messages import Partitioning
from tests.databases.canonical_rows import insert, slice_of
from tests.scenario import Scenario

PARTITIONING = Partitioning(scheme="key_range", segment_count=4, low=10, high=20)
VALUES = ["", "a", None, "tab\tin", "line\nfeed\r", "back\\slash \\N", "\\N", "é😀", " blank ", "x" * 3_000_000]


@pytest.mark.parametrize("columns", [["id", "v"], ["v"], ["id"]], ids=["all", "one text", "one number"])
def test_lines_and_table_have_one_digest(on: Scenario, columns: list[str]) -> None:
    """Lines and table have one digest for any values, and another one after a change."""
    text = "LONGTEXT" if on.dialect == "mysql" else "TEXT"
    values = VALUES if on.dialect == "postgresql" else [*VALUES, "\0", "a\0b\0\0"]  # PostgreSQL has no NUL in texts
    on.execute(f"CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY, v {text})")
    insert(on.database, on.describe("item"), enumerate(values))
    with on.database.connect() as connection:
        table_slice = slice_of(on.database, on.describe("item"), columns=columns, key=columns[:1])
        sent = [block for _, block in on.database.reader.read_text(connection, table_slice)]
        lines = on.database.digests.line_digest(table_slice)
        assert list(lines.passing(sent)) == sent
        assert lines.found.rows == len(values)
        assert on.database.digests.digest_loaded(connection, table_slice, PARTITIONING) == lines.found

        with on.database.transaction(connection):
            connection.exec_driver_sql(
                f"UPDATE item SET {columns[-1]} = {'77' if columns[-1] == 'id' else repr('b')} WHERE id = 1"
            )
            changed = on.database.digests.digest_loaded(connection, table_slice, PARTITIONING)
            connection.exec_driver_sql("DELETE FROM item WHERE id = 3")
            fewer = on.database.digests.digest_loaded(connection, table_slice, PARTITIONING)
    assert changed.rows == lines.found.rows
    assert changed.sum != lines.found.sum
    assert fewer.rows == lines.found.rows - 1


def test_no_lines(on: Scenario) -> None:
    """An empty table has the digest of no lines."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY)")
    with on.database.connect() as connection:
        table_slice = slice_of(on.database, on.describe("item"))
        lines = on.database.digests.line_digest(table_slice)
        assert list(lines.passing([])) == []
        assert lines.found == SegmentDigest(rows=0, sum=0)
        assert on.database.digests.digest_loaded(connection, table_slice, PARTITIONING) == lines.found


def test_lines_that_nobody_reads_to_the_end(on: Scenario) -> None:
    """A failed load leaves no thread behind, and the remaining lines unread."""
    on.execute("CREATE TABLE item (id INTEGER NOT NULL PRIMARY KEY)")
    passing = on.database.digests.line_digest(slice_of(on.database, on.describe("item"))).passing([b"1\n", b"2\n"])
    assert next(passing) == b"1\n"
    passing.close()
    assert next(passing, None) is None
