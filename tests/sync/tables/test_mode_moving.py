"""Modes of tables while the source does not stand still, and with more rows than may be listed."""

from __future__ import annotations

from itertools import groupby, pairwise
from operator import itemgetter

import pytest

from airflow_provider_sync.protocol.v2.messages import GetRows
from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan
from tests.sync.link import Link
from tests.sync.tables.interrupted import interrupted
from tests.sync.tables.mode_tables import MODES, copies, counts
from tests.sync.tables.restless_source import RestlessSource


@pytest.mark.parametrize("kind", ["integer", pytest.param("text", marks=pytest.mark.slow)])
def test_versions_of_a_busy_source(same: Link, kind: str) -> None:
    """While the source changes before each request, versions follow each other, and each was the source's."""
    same.protocol = "2"
    source = RestlessSource(same, kind, rows=1100)
    same.target.execute("DROP TABLE t")
    options = {"mode": "history", "create_table": True}
    for _ in range(2):
        source.sync(options)
    assert same.sync_one("t", options).verified == "digest"
    versions = sorted(same.target.rows("t"), key=itemgetter(0, 4))
    assert sorted(row[:4] for row in versions if row[5] is None) == sorted(same.source.rows("t"))
    for _, rows in groupby(versions, key=itemgetter(0)):
        for before, after in pairwise(rows):
            assert str(before[4]) < str(before[5]) <= str(after[4])
            assert (before[6], before[1:4] == after[1:4] and before[5] == after[4]) == (0, False)
    source.assert_were_there([row[:4] for row in versions])


@pytest.mark.parametrize("mode", MODES)
def test_rows_that_vanish_while_they_are_fetched(two_same: Link, mode: str) -> None:
    """A different row that disappears before it is fetched is kept or ended as its mode says; others are verified."""
    with copies(two_same) as targets:
        targets.sync(mode)
    two_same.source.execute("UPDATE t SET v = 'x' WHERE id IN (3, 4)", "INSERT INTO t VALUES (900, 'new'), (901, 'new')")
    options = {"table": mode, "mode": mode}
    report, _ = interrupted(
        two_same, GetRows, 1, lambda _: two_same.source.execute("DELETE FROM t WHERE id IN (3, 901)"), options=options
    )
    expected = {"upsert": (1, 1, 0), "append": (1, 0, 0), "soft_delete": (1, 1, 1), "history": (1, 1, 1)}
    assert (*counts(report), report.verified) == ("changed", *expected[mode], "digest")
    kept = two_same.target.scalar(f"SELECT v FROM {mode} WHERE id = 3")
    assert kept == "v3"


@pytest.mark.parametrize("mode", MODES)
def test_more_rows_than_may_be_listed(two_same: Link, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    """In a window with too many different rows, they are fetched slice by slice, each by the mode's rules."""
    monkeypatch.setattr(plan, "MAX_LISTED", 10)
    monkeypatch.setattr(batch_sizes, "SLICE_ROWS", 100)
    with copies(two_same, rows=600, windows=["id"]) as targets:
        targets.sync(mode)
        two_same.source.execute("UPDATE t SET v = 'x' WHERE id % 10 = 0", "DELETE FROM t WHERE id % 50 = 7")
        report = targets.sync(mode, window=["id", "0", "1000"])
        expected = {"upsert": (0, 60, 0), "append": (0, 0, 0), "soft_delete": (0, 60, 12), "history": (0, 60, 12)}
        assert counts(report) == ("changed" if any(expected[mode]) else "unchanged", *expected[mode])
        assert report.verified == "digest"
        assert counts(targets.sync(mode, window=["id", "0", "1000"])) == ("unchanged", 0, 0, 0)
