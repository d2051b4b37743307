"""Which rows differ, by their keys, without a row on the wire."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.sync.tables.diff import TableDiff, diff_table
from tests.sync.link import Link


def diff(link: Link, name: str, options: dict[str, Any] | None = None, protocol: str = "2") -> TableDiff:
    """Compare one table."""
    link.protocol = protocol
    with link.client(name) as client:
        return diff_table(client, table_from_options(name, options), link.target.database)


def test_the_exact_keys_are_told(into: Link) -> None:
    """Inserts, updates and deletes are listed by key; nothing is written, and no row is downloaded."""
    into.create("CREATE TABLE t (code VARCHAR(9) NOT NULL, part INTEGER NOT NULL, v INTEGER, PRIMARY KEY (code, part))")
    into.source.execute("INSERT INTO t VALUES ('a', 1, 1), ('a', 2, 2), ('b', 1, 3)")
    into.target.execute("INSERT INTO t VALUES ('a', 1, 1), ('a', 2, 7), ('c', 1, 3)")
    before = into.target.rows("t")
    found = diff(into, "t")
    assert found.changes is not None
    assert (found.changes.inserted, found.changes.updated, found.changes.deleted) == ((("b", "1"),), (("a", "2"),), (("c", "1"),))
    report = found.report
    assert (report.status, report.protocol, report.rows_received, report.rows_total) == ("planned", 2, 0, 3)
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (1, 1, 1)
    assert into.target.rows("t") == before
    into.assert_clean()
    into.sync_one("t")
    again = diff(into, "t")
    assert again.changes is not None
    assert (len(again.changes), again.report.status, again.report.verified) == (0, "unchanged", "digest")


def test_rows_that_cross_the_window_are_updates(into: Link) -> None:
    """A row that entered or left the window is listed as an update."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, day DATE)")
    into.offered["t"] = {"windows": ["day"]}
    into.source.execute("INSERT INTO t VALUES (1, '2024-02-01'), (2, '2024-06-01')")
    into.target.execute("INSERT INTO t VALUES (1, '2024-06-01'), (2, '2024-02-01'), (3, '2024-02-01')")
    changes = diff(into, "t", {"window": ("day", "2024-02-01", "2024-03-01")}).changes
    assert changes is not None
    assert (changes.inserted, sorted(changes.updated), changes.deleted) == ((), [("1",), ("2",)], (("3",),))


@pytest.mark.parametrize("key", ["INTEGER", "VARCHAR(20)"])
def test_rows_that_come_back_are_updates(into: Link, key: str) -> None:
    """With ``soft_delete``, rows that the target has, marked, count as in the run; rows that it never had are inserted."""
    values = ", ".join(f"('{number}', 'v')" for number in range(300))
    into.source.execute(f"CREATE TABLE t (id {key} PRIMARY KEY, v VARCHAR(20))", f"INSERT INTO t VALUES {values}")
    into.target.execute(f"CREATE TABLE t (id {key} PRIMARY KEY, v VARCHAR(20), deleted_at {{DATETIME}} NULL)")
    options = {"mode": "soft_delete"}
    into.sync_one("t", options)
    into.source.execute("DELETE FROM t WHERE id IN ('7', '8')")
    into.sync_one("t", options)
    into.source.execute("INSERT INTO t VALUES ('7', 'again'), ('900', 'new')", "UPDATE t SET v = 'x' WHERE id = '9'")

    found = diff(into, "t", options)
    assert found.changes is not None
    assert found.changes.inserted == (("900",),)
    assert sorted(found.changes.updated) == [("7",), ("9",)]
    done = into.sync_one("t", options)
    assert (done.rows_inserted, done.rows_updated) == (found.report.rows_inserted, found.report.rows_updated) == (1, 2)


def test_version_1_tells_numbers_alone(same: Link) -> None:
    """With version 1, a dry run has the number of different rows, but no keys."""
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    same.source.execute("INSERT INTO t VALUES (1)")
    found = diff(same, "t", protocol="1")
    assert found.changes is None
    assert (found.report.protocol, found.report.status, found.report.rows_inserted) == (1, "planned", 1)


@pytest.mark.parametrize("rows", [0, 1])
def test_a_guard_does_not_hide_numbers_of_version_1(same: Link, rows: int) -> None:
    """With version 1, too, changes that a guard would stop are counted."""
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    same.source.execute(*[f"INSERT INTO t VALUES ({number})" for number in range(rows)])
    same.target.execute(*[f"INSERT INTO t VALUES ({number})" for number in range(10, 30)])
    report = diff(same, "t", {"max_deletes": 1}, protocol="1").report
    assert (report.status, report.rows_inserted, report.rows_deleted) == ("planned", rows, 20)
    assert len(same.target.rows("t")) == 20


def test_a_target_that_a_run_would_make_is_not_made(same: Link) -> None:
    """A missing target that a run would create counts as inserts, and is not created."""
    same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    found = diff(same, "t", {"create_table": True})
    assert (found.report.status, found.report.rows_inserted) == ("planned", 2)
    assert found.report.schema_changes == ("make table 't'",)
    assert same.target.names() == []


@pytest.mark.parametrize("rows", [0, 1])
def test_a_guard_does_not_hide_what_differs(same: Link, rows: int) -> None:
    """Changes that a guard would stop are shown."""
    same.create("CREATE TABLE t (id INTEGER PRIMARY KEY)")
    same.source.execute(*[f"INSERT INTO t VALUES ({number})" for number in range(rows)])
    same.target.execute(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 203) INSERT INTO t SELECT i FROM n"
    )
    found = diff(same, "t")
    assert (found.report.rows_deleted, found.report.rows_inserted) == (203, rows)
