"""Columns that databases compute: what both compute alike is equal, and what they do not is one error that names the column."""

from __future__ import annotations

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.sync.link import Link

PLAIN = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER)"
TWICE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 2) {STORED})"
THRICE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 3) {STORED})"
VALUES = "INSERT INTO t (id, n) VALUES (1, 1), (2, 2), (3, NULL)"
REFUSED = "computes other values for column 'twice' than the source"


@pytest.mark.parametrize(
    ("source", "values"),
    [
        pytest.param(TWICE, VALUES, id="both"),
        pytest.param(PLAIN, "INSERT INTO t VALUES (1, 1, 2), (2, 2, 4)", id="target", marks=pytest.mark.slow),
    ],
)
def test_computed_otherwise(two_into: Link, source: str, values: str) -> None:
    """A column that the target computes differently fails the sync permanently, names it, and changes nothing."""
    two_into.source.execute(source, values)
    two_into.target.execute(THRICE, "INSERT INTO t (id, n) VALUES (9, 9)")
    for _ in range(2):
        with pytest.raises(SyncFailed, match=REFUSED) as failed:
            two_into.sync_one("t", {"max_deletes": 1})
        assert not failed.value.retryable
        assert two_into.target.rows("t") == [(9, 9, 27)]
        two_into.assert_clean()
        two_into.target.execute("DELETE FROM t", "INSERT INTO t (id, n) VALUES (9, 9)")

    two_into.sync_one("t", {"columns": ["id", "n"]})
    assert two_into.target.rows("t", "id", "n") == two_into.source.rows("t", "id", "n")


def test_nothing_but_the_computed_column_differs(two_into: Link) -> None:
    """That holds if all other columns are equal, too."""
    two_into.source.execute(TWICE, VALUES)
    two_into.target.execute(THRICE, VALUES)
    with pytest.raises(SyncFailed, match=REFUSED) as failed:
        two_into.sync_one("t")
    assert not failed.value.retryable


def test_a_key_that_is_computed_otherwise(two_into: Link) -> None:
    """A key that the target computes differently is a permanent error that names it."""
    table = "CREATE TABLE t (n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * {}) {{STORED}})"
    two_into.source.execute(table.format(2), "INSERT INTO t (n) VALUES (1), (2)")
    two_into.target.execute(table.format(3))
    two_into.offered["t"] = {"primary": "twice"}
    with pytest.raises(SyncFailed, match="computes the key column 'twice' in another way") as failed:
        two_into.sync_one("t", {"primary": "twice"})
    assert not failed.value.retryable
    assert two_into.target.rows("t") == []


def test_computed_otherwise_in_steps(two_into: Link) -> None:
    """That holds in steps, too."""
    two_into.source.execute(TWICE, VALUES)
    two_into.target.execute(THRICE, "INSERT INTO t (id, n) VALUES (1, 5)")
    options = table_from_options("t", {})
    with two_into.client("t") as client:
        slices = compare_table(client, options, two_into.target.database, run_id="r").slices
        assert slices
        staged = [stage_slice(client, options, two_into.target.database, table_slice) for table_slice in slices]
        with pytest.raises(SyncFailed, match=REFUSED) as failed:
            merge_slices(client, {"t": (options, staged)}, two_into.target.database)
    assert not failed.value.retryable
    assert two_into.target.rows("t") == [(1, 5, 15)]


@pytest.mark.parametrize("protocol", [pytest.param("1", marks=pytest.mark.slow), "2"])
@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(TWICE, TWICE, id="both"),
        pytest.param(TWICE, PLAIN, id="source", marks=pytest.mark.slow),
        pytest.param(PLAIN, TWICE, id="target", marks=pytest.mark.slow),
    ],
)
def test_computed_alike(into: Link, source: str, target: str, protocol: str) -> None:
    """A column with the same values on both sides is synced without a warning, on whichever side it is computed."""
    into.protocol = protocol
    into.source.execute(source, VALUES if source == TWICE else "INSERT INTO t VALUES (1, 1, 2), (2, 2, 4), (3, NULL, NULL)")
    into.target.execute(target)
    for change in ("INSERT INTO t (id, n) VALUES (4, NULL)", "SELECT 1"):
        report = into.sync_one("t")
        assert (report.status, report.warnings) == ("changed", ())
        into.assert_equal("t")
        into.source.execute(change)
    assert into.sync_one("t").status == "unchanged"
