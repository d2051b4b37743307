"""A source that changes while an existing server sends it, page after page, and syncs of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.steps import compare_table, merge_slices, stage_slice
from tests.scenario import Scenario
from tests.sync.tables.paging_server import PagingServer

CREATE = "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(50))"
ROWS = [(number, f"row {number}") for number in range(1, 61)]


class Source:
    """A table of sixty rows behind an existing server."""

    def __init__(self, file: Path, server: PagingServer) -> None:
        self.file = file
        self.server = server

    def execute(self, *statements: str) -> None:
        """Write, as others do."""
        with closing(sqlite3.connect(self.file)) as connection, connection:
            for statement in statements:
                connection.execute(statement)

    def rows(self) -> list[tuple[int, str]]:
        """Return what is there."""
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute("SELECT * FROM t ORDER BY id").fetchall()


def sync(source: Source, target: Scenario, **options: Any) -> TableReport:
    """Sync in one go."""
    with SyncClient(source.server.url, retries=0) as client:
        return sync_tables(client, [table_from_options("t", options)], target.database)[0]


def sync_in_steps(source: Source, target: Scenario, **options: Any) -> TableReport:
    """Sync in three steps."""
    table = table_from_options("t", options)
    with SyncClient(source.server.url, retries=0) as client:
        slices = compare_table(client, table, target.database, run_id="run").slices
        assert slices
        staged = [stage_slice(client, table, target.database, table_slice) for table_slice in slices]
        return merge_slices(client, {"t": (table, staged)}, target.database)[0]


BOTH = pytest.mark.parametrize("way", [sync, sync_in_steps])


def kept(target: Scenario) -> list[tuple[Any, ...]]:
    """Return the target's rows in order, and check that nothing is left beside them."""
    assert target.names() == ["t"]
    return sorted(target.rows("t"))


def delete_once(source: Source, *, page: int = 2) -> None:
    """Have eight rows deleted before a page of the first answer, so that it skips eight others."""
    done: list[int] = []

    def delete(number: int) -> None:
        if number == page and not done:
            done.append(number)
            source.execute("DELETE FROM t WHERE id <= 8")

    source.server.before_page = delete


def insert_once(source: Source) -> None:
    """Have rows inserted before a page of the first answer, so that it sends some twice."""
    done: list[int] = []

    def insert(number: int) -> None:
        if number == 2 and not done:
            done.append(number)
            source.execute("INSERT INTO t VALUES (-1, 'new'), (-2, 'new')")

    source.server.before_page = insert
