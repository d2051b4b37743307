"""However many rows differ, no more of their keys than a bounded number are in memory at once."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.version2 import batch_sizes, comparison, follow_plan, plan, reclassify
from airflow_provider_sync.sync.tables.version2.row_changes import Differences
from tests.database_servers import MARIADB, SQLITE
from tests.engines import on_engines
from tests.sync.link import Link

FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
    " INSERT INTO t SELECT {key}, '2024-02-01', i FROM n"
)


class Held:
    """Counts the keys that one slice holds.

    :ivar most: in any slice
    :ivar slices: how many there were
    """

    most = slices = 0


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> Held:
    """Make slices small, and count what they hold."""
    held = Held()
    original = comparison.compare_slice

    def counted(*arguments: Any) -> Differences:
        found = original(*arguments)
        held.most = max(held.most, len(found.changes), len(found.announced))
        held.slices += 1
        return found

    monkeypatch.setattr(batch_sizes, "SLICE_ROWS", 50)
    monkeypatch.setattr(plan, "MAX_LISTED", 50)
    for module in (comparison, follow_plan, reclassify):
        monkeypatch.setattr(module, "compare_slice", counted)
    return held


@pytest.fixture(params=["integer", "text"])
def different(request: pytest.FixtureRequest, into: Link) -> Link:
    """Give 2,000 rows on both sides, of which 500 are missing, 500 are others, and 500 are surplus."""
    text = request.param == "text"
    into.protocol = "2"
    into.offered["t"] = {"windows": ["day"]}
    into.create(f"CREATE TABLE t (id {'VARCHAR(9)' if text else 'INTEGER'} NOT NULL PRIMARY KEY, day DATE, n INTEGER)")
    into.source.execute(FILL.format(key="CAST(i AS CHAR(4))" if text else "i"))
    into.sync_one("t")
    into.target.execute("DELETE FROM t WHERE n <= 500", "UPDATE t SET n = -n WHERE n <= 1000")
    into.source.execute("DELETE FROM t WHERE n BETWEEN 1001 AND 1500")
    return into


@on_engines(SQLITE, MARIADB)
def test_a_window_of_any_size(different: Link, held: Held) -> None:
    """If more rows of a window differ than can be listed, they are staged in slices; all arrive."""
    report = different.sync_one("t", {"window": ["day", "2024-02-01", "2024-03-01"], "max_deletes": "100%"})
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted, report.verified) == (500, 500, 500, "digest")
    different.assert_equal("t")
    assert held.slices > 5
    assert held.most < 450


@on_engines(SQLITE, MARIADB)
def test_rows_that_cross_a_large_window(different: Link, held: Held) -> None:
    """A row that entered or left the window is updated, in any slice."""
    different.source.execute("UPDATE t SET day = '2024-06-01' WHERE n IN (600, 1700)")
    different.target.execute("UPDATE t SET day = '2024-06-01' WHERE n IN (-601, 1701)")
    report = different.sync_one("t", {"window": ["day", "2024-02-01", "2024-03-01"], "max_deletes": "100%"})
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (500, 502, 500)
    different.assert_equal("t")


@on_engines(SQLITE, MARIADB)
def test_many_rows_that_only_the_target_has(into: Link, held: Held) -> None:
    """If more rows are to be deleted than can be listed, they are listed in slices, and none is sent."""
    into.protocol = "2"
    into.create("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, day DATE, n INTEGER)")
    into.source.execute(FILL.format(key="i"))
    into.sync_one("t")
    into.source.execute("DELETE FROM t WHERE id % 2 = 0")
    report = into.sync_one("t")
    assert (report.rows_deleted, report.rows_received, report.verified) == (1000, 0, "digest")
    into.assert_equal("t")
    assert held.slices > 5
    assert held.most < 450


@on_engines(SQLITE, MARIADB)
def test_diff_counts_all_and_keeps_few(different: Link, held: Held) -> None:
    """Numbers are exact, the first keys of each kind are listed, and omitted ones are counted."""
    with different.client("t") as client:
        found = diff_table(client, table_from_options("t", {}), different.target.database, max_keys=7)
    report = found.report
    assert (report.rows_inserted, report.rows_updated, report.rows_deleted) == (500, 500, 500)
    assert found.changes is not None
    assert (len(found.changes.inserted), len(found.changes.updated), len(found.changes.deleted)) == (7, 7, 7)
    assert found.keys_omitted == 1500 - 21
    assert held.slices > 5
    assert held.most < 450


@on_engines(SQLITE, MARIADB)
def test_keys_that_are_told_are_the_right_ones(different: Link, held: Held) -> None:
    """Slice by slice, every key is listed once, as what a sync does with its row."""
    with different.client("t") as client:
        changes = diff_table(client, table_from_options("t", {}), different.target.database).changes
    assert changes is not None
    kinds = (changes.inserted, changes.updated, changes.deleted)
    assert [sorted(int(key) for (key,) in keys) for keys in kinds] == [
        [*range(1, 501)],
        [*range(501, 1001)],
        [*range(1001, 1501)],
    ]
