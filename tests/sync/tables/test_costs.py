"""What each table of a transaction cost, in its own report: no second and no request is counted twice."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.sync.link import Link

NAMES = ("a", "b", "c")


@pytest.fixture(params=["1", "2"], ids=["version 1", "version 2"])
def tables(request: pytest.FixtureRequest, same: Link) -> Link:
    """Give three tables that differ, by each version of the protocol."""
    same.protocol = request.param
    for name in NAMES:
        same.create(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, n INTEGER)")
        same.source.execute(f"INSERT INTO {name} VALUES (1, 1), (2, 2)")
        same.target.execute(f"INSERT INTO {name} VALUES (1, 5)")
    return same


@contextmanager
def counted_once(reports: list[TableReport]) -> Iterator[None]:
    """Check that the reports have no more seconds than the block took."""
    before = time.monotonic()
    yield
    elapsed = time.monotonic() - before
    assert [report.name for report in reports] == list(NAMES)
    # Each is rounded to a thousandth.
    assert sum(report.seconds for report in reports) <= elapsed + len(reports) * 0.001
    assert all(report.requests > 0 for report in reports if report.status != "failed")


@pytest.mark.parametrize("arguments", [{}, {"dry_run": True}, {"single_transaction": False}])
def test_in_one_go(tables: Link, arguments: dict[str, Any]) -> None:
    """The seconds of tables add up to those of the run, also in one transaction."""
    reports: list[TableReport] = []
    options = [table_from_options(name, {}) for name in NAMES]
    with tables.client(*NAMES) as client, counted_once(reports):
        reports += sync_tables(client, options, tables.target.database, **arguments)
    assert all(report.seconds > 0 for report in reports)


def test_in_steps(tables: Link) -> None:
    """Tables that were downloaded separately do not count each other's merge in one transaction."""
    reports: list[TableReport] = []
    database = tables.target.database
    options = {name: table_from_options(name, {}) for name in NAMES}
    with tables.client(*NAMES) as client, counted_once(reports):
        compared = {name: compare_table(client, options[name], database, run_id="run") for name in NAMES}
        staged = {
            name: (options[name], [stage_slice(client, options[name], database, planned) for planned in compared[name].slices])
            for name in NAMES
        }
        reports += merge_slices(client, staged, database)
    assert all(report.seconds > 0 for report in reports)


@pytest.mark.parametrize("failing", NAMES)
def test_in_a_transaction_that_fails(tables: Link, failing: str) -> None:
    """After a failed transaction, each table has its cost so far, and the first has the common cost."""
    options = [table_from_options(name, {"max_deletes": 0} if name == failing else {}) for name in NAMES]
    tables.target.execute(f"INSERT INTO {failing} VALUES (7, 7)")
    reports: list[TableReport] = []
    with tables.client(*NAMES) as client, counted_once(reports):
        with pytest.raises(SyncFailed) as failure:
            sync_tables(client, options, tables.target.database)
        reports += [report for report in failure.value.reports if isinstance(report, TableReport)]
    assert all(report.status == "failed" and report.requests > 0 for report in reports)
