"""Columns that the target computes otherwise than a source of version 1: an error where the values prove it."""

from __future__ import annotations

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.sync.tables.diff import diff_table
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.sync.link import Link, linked

PLAIN = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER)"
TWICE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 2) {STORED})"
THRICE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, twice INTEGER GENERATED ALWAYS AS (n * 3) {STORED})"
VALUES = "INSERT INTO t (id, n) VALUES (1, 1), (2, 2), (3, NULL)"
REFUSED = r"computes other values for column 'twice' than the source has.*Nothing was changed\. .*`columns`"


@pytest.mark.parametrize(
    ("source", "values"),
    [
        pytest.param(TWICE, VALUES, id="both"),
        pytest.param(PLAIN, "INSERT INTO t VALUES (1, 1, 2), (2, 2, 4)", id="target", marks=pytest.mark.slow),
    ],
)
def test_computed_otherwise(into: Link, source: str, values: str) -> None:
    """A column that the target computes differently fails the sync permanently, names it, and changes nothing."""
    into.source.execute(source, values)
    into.target.execute(THRICE, "INSERT INTO t (id, n) VALUES (9, 9)")
    with pytest.raises(SyncFailed, match=REFUSED) as failed:
        into.sync_one("t", {"max_deletes": 1})
    assert not failed.value.retryable
    assert into.target.rows("t") == [(9, 9, 27)]
    into.assert_clean()

    into.sync_one("t", {"columns": ["id", "n"]})
    assert into.target.rows("t", "id", "n") == into.source.rows("t", "id", "n")


def test_nothing_but_the_computed_column_differs(same: Link) -> None:
    """That holds if all other columns are equal, in steps, in a dry run and for ``diff``, too."""
    same.source.execute(TWICE, VALUES)
    same.target.execute(THRICE, VALUES)
    options = table_from_options("t", {})
    with pytest.raises(SyncFailed, match=REFUSED):
        same.sync_one("t", dry_run=True)
    with same.client("t") as client:
        with pytest.raises(SyncError, match=REFUSED):
            diff_table(client, options, same.target.database)
        slices = compare_table(client, options, same.target.database, run_id="r").slices
        staged = [stage_slice(client, options, same.target.database, table_slice) for table_slice in slices]
        with pytest.raises(SyncFailed, match=REFUSED) as failed:
            merge_slices(client, {"t": (options, staged)}, same.target.database)
    assert not failed.value.retryable


def test_decimals_that_sqlite_computes(mariadb_url: str, sqlite_url: str) -> None:
    """A decimal that SQLite computes as a float is equal if it is so in the column's digits."""
    computed = "GENERATED ALWAYS AS (n * 1.5) STORED"
    table = f"CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n DECIMAL(10, 2), more DECIMAL(12, 3) {computed})"
    with linked(mariadb_url, sqlite_url) as link:
        link.create(table)
        link.source.execute("INSERT INTO t (id, n) VALUES (1, 1.1), (2, 2), (3, NULL)")
        report = link.sync_one("t")
        assert (report.status, report.rows_inserted) == ("changed", 3)
        assert not any("computes" in warning for warning in report.warnings)


def test_of_a_float_only_six_digits_come(mariadb_url: str, postgresql_url: str) -> None:
    """A FLOAT that both sides compute equally counts as equal, although version 1 sends six digits."""
    table = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, n INTEGER, part {} GENERATED ALWAYS AS (n / 3.0) STORED)"
    with linked(mariadb_url, postgresql_url) as link:
        link.source.execute(table.format("FLOAT"), "INSERT INTO t (id, n) VALUES (1, 1)")
        link.target.execute(table.format("REAL"))
        report = link.sync_one("t", {"columns": ["id", "n", "part"]})
        assert report.status == "changed"
        assert any("computes other values for part" in warning for warning in report.warnings)
