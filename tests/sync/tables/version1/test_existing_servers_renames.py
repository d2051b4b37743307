"""The hash of version 1 covers no names: with ``renames``, equal hashes alone do not make a table equal."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.change_check import table_differs
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.scenario import Scenario
from tests.sync.tables.paging_server import PagingServer, paging_server

MISTAKEN = {"first": "given", "last": "family"}
CORRECTED = {"first": "family", "last": "given"}
ROWS = [(1, "Kovács", "Anna"), (2, "Nagy", "Béla")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PagingServer]:
    """Give a source of two rows behind an existing server."""
    file = tmp_path / "source.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, first VARCHAR(50), last VARCHAR(50))")
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", ROWS)
    with paging_server(f"sqlite:///{file}") as server:
        yield server


@pytest.fixture
def target(database_url: str, server: PagingServer) -> Iterator[Scenario]:
    """Give a target that was filled with mistaken ``renames``."""
    engine = open_engine(database_url)
    scenario = Scenario(database_for(engine))
    scenario.execute("CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, given VARCHAR(50), family VARCHAR(50))")
    sync(server, scenario, renames=MISTAKEN)
    assert sorted(scenario.rows("t")) == ROWS
    yield scenario
    engine.dispose()


def sync(server: PagingServer, target: Scenario, **options: Any) -> TableReport:
    """Sync in one go."""
    with SyncClient(server.url, retries=0) as client:
        return sync_tables(client, [table_from_options("t", options)], target.database)[0]


def sync_in_steps(server: PagingServer, target: Scenario, **options: Any) -> TableReport:
    """Sync in three steps."""
    table = table_from_options("t", options)
    with SyncClient(server.url, retries=0) as client:
        compared = compare_table(client, table, target.database, run_id="run")
        if not compared.slices:
            return compared.report
        staged = [stage_slice(client, table, target.database, table_slice) for table_slice in compared.slices]
        return merge_slices(client, {"t": (table, staged)}, target.database)[0]


@pytest.mark.parametrize("way", [sync, sync_in_steps])
def test_corrected_renames_take_effect(server: PagingServer, target: Scenario, way: Any) -> None:
    """Values move to the right columns, although the hash of the source does not differ; then the table is equal."""
    report = way(server, target, renames=CORRECTED)
    assert (report.status, report.rows_updated, report.verified) == ("changed", 2, "hash")
    assert sorted(target.rows("t")) == [(1, "Anna", "Kovács"), (2, "Béla", "Nagy")]
    report = way(server, target, renames=CORRECTED)
    assert (report.status, report.verified) == ("unchanged", "hash")


def test_corrected_renames_are_a_difference(server: PagingServer, target: Scenario) -> None:
    """Sensors see it, too."""
    with SyncClient(server.url, retries=0) as client:
        assert not table_differs(client, table_from_options("t", {"renames": MISTAKEN}), target.database)
        assert table_differs(client, table_from_options("t", {"renames": CORRECTED}), target.database)


@pytest.mark.parametrize("way", [sync, sync_in_steps])
def test_one_more_request_and_not_without_verify(server: PagingServer, target: Scenario, way: Any) -> None:
    """The names cost one request for the first rows, which ``verify: false`` saves."""
    before = len(server.requests)
    assert way(server, target, renames=MISTAKEN).status == "unchanged"
    assert len(server.requests) - before == 2
    assert way(server, target, renames=MISTAKEN, verify=False).status == "unchanged"
    assert len(server.requests) - before == 3
