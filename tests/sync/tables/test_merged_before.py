"""Merging steps whose staging tables are gone, since an earlier attempt merged them and could not report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync.tables.slice_values import StagedSlice
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.sync.link import Link
from tests.sync.tables.test_steps import TABLE, Steps
from tests.sync.tables.version2.test_source import fill

GONE = "The staging table of 't' was gone"


def staged(steps: Steps) -> list[StagedSlice]:
    """Run the steps before the merge."""
    return [steps.download(table_slice) for table_slice in steps.compare()]


def drop_staging(link: Link) -> None:
    """Drop staging tables as another session does."""
    link.target.execute(*(f"DROP TABLE {name}" for name in link.target.names() if name.startswith("_sync")))


def changed(link: Link) -> Steps:
    """Give source and target that differ in a few rows, and the steps of a sync of them."""
    link.create(TABLE)
    fill(link, "t", "i, 'x'", 300)
    link.sync_one("t")
    link.source.execute(
        "UPDATE t SET v = 'y' WHERE id IN (10, 200)", "DELETE FROM t WHERE id = 7", "INSERT INTO t VALUES (999, 'z')"
    )
    return Steps(link)


def test_a_merge_that_was_not_reported(two_into: Link) -> None:
    """The retry of a task that was killed between its merge and its report succeeds and says what it knows."""
    steps = changed(two_into)
    slices = staged(steps)
    assert steps.merge(slices).rows_updated == 2

    report = steps.merge(slices)

    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("changed", 0, 0, 0)
    assert (report.rows_total, report.rows_received, report.verified) == (300, 3, "digest")
    assert report.warnings[-1].startswith(GONE)
    assert "source and target are equal now" in report.warnings[-1]
    two_into.assert_equal("t")


@pytest.mark.parametrize("mode", ["upsert", "append", "soft_delete", "history"])
def test_in_every_mode(two_same: Link, mode: str) -> None:
    """In a mode that keeps rows or their versions, a retry keeps each of them once."""
    two_same.source.execute("CREATE TABLE t (id BIGINT PRIMARY KEY, v VARCHAR(40))", "INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    options: dict[str, Any] = {"mode": mode, "create_table": True}
    Steps(two_same, options, run_id="run 0").all()
    two_same.source.execute(
        "UPDATE t SET v = 'other' WHERE id = 1", "DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (3, 'c')"
    )
    steps = Steps(two_same, options)
    slices = staged(steps)
    steps.merge(slices)
    before = two_same.target.rows("t")

    report = steps.merge(slices)

    assert report.warnings[-1].startswith(GONE)
    assert two_same.target.rows("t") == before
    two_same.assert_clean()


def test_by_version_1(into: Link) -> None:
    """With version 1, a retry fetches the rows again if the hashes can never be equal, and writes nothing."""
    into.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v VARCHAR(20))")
    into.source.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    into.target.execute("INSERT INTO t VALUES (2, 'old'), (3, 'goes')")
    steps = Steps(into)
    slices = staged(steps)
    steps.merge(slices)

    report = steps.merge(slices)

    assert (report.status, report.protocol, report.rows_inserted, report.rows_updated, report.rows_deleted) == (
        "changed",
        1,
        0,
        0,
        0,
    )
    assert report.warnings[-1].startswith(GONE)
    into.assert_equal("t")


def test_what_still_differs_is_synced(two_into: Link) -> None:
    """If the staged rows were dropped without a merge, the merge task syncs the table like a single task."""
    steps = changed(two_into)
    slices = staged(steps)
    drop_staging(two_into)

    report = steps.merge(slices)

    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("changed", 1, 2, 1)
    assert "what still differed was synced" in report.warnings[-1]
    two_into.assert_equal("t")


def test_a_dry_run_writes_nothing(two_same: Link) -> None:
    """A dry run without its staging tables reports what would change."""
    steps = changed(two_same)
    slices = staged(steps)
    drop_staging(two_same)
    before = two_same.target.rows("t")

    report = steps.merge(slices, dry_run=True)

    assert (report.status, report.rows_inserted, report.rows_updated, report.rows_deleted) == ("planned", 1, 2, 1)
    assert "this dry run compared" in report.warnings[-1]
    assert two_same.target.rows("t") == before
    two_same.assert_clean()


def test_guards_hold(two_same: Link) -> None:
    """The guards apply to the second comparison: nothing is written and no staging table stays."""
    steps = changed(two_same)
    slices = staged(steps)
    drop_staging(two_same)
    two_same.source.execute("DELETE FROM t WHERE id > 5")
    before = two_same.target.rows("t")

    with pytest.raises(SyncFailed, match="max_deletes is 50%"):
        steps.merge(slices)

    assert two_same.target.rows("t") == before
    two_same.assert_clean()


def test_after_another_table_failed(two_same: Link) -> None:
    """With a transaction for each table, a retry also succeeds if only some tables were merged before."""
    two_same.create("CREATE TABLE a (id INTEGER PRIMARY KEY)", "CREATE TABLE b (id INTEGER PRIMARY KEY)")
    two_same.source.execute("INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)")
    two_same.target.execute("INSERT INTO b VALUES " + ", ".join(f"({key})" for key in range(2, 300)))
    database = two_same.target.database

    def merge(slices: dict[str, Sequence[StagedSlice]], **options: Any) -> list[tuple[str, str]]:
        tables = {name: (table_from_options(name, options), parts) for name, parts in slices.items()}
        return [(report.name, report.status) for report in merge_slices(client, tables, database, single_transaction=False)]

    with two_same.client("a", "b") as client:
        slices: dict[str, Sequence[StagedSlice]] = {}
        for name in ("a", "b"):
            options = table_from_options(name, {})
            planned = compare_table(client, options, database, run_id="run").slices
            slices[name] = [stage_slice(client, options, database, entry) for entry in planned]
        with pytest.raises(SyncFailed, match="max_deletes") as failed:
            merge(slices)
        assert [report.status for report in failed.value.reports] == ["changed", "failed"]
        assert merge(slices, max_deletes="100%") == [("a", "changed"), ("b", "changed")]
    two_same.assert_equal("a")
    two_same.assert_equal("b")
