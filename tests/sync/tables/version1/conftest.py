"""A source that changes while it is sent, and a target that was equal to it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from tests.scenario import Scenario
from tests.sync.tables.paging_server import paging_server
from tests.sync.tables.version1.moving_source import CREATE, ROWS, Source


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    """Give a source on SQLite, which pages as any other database does."""
    file = tmp_path / "source.db"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute(CREATE)
        connection.executemany("INSERT INTO t VALUES (?, ?)", ROWS)
    with paging_server(f"sqlite:///{file}") as server:
        yield Source(file, server)


@pytest.fixture
def target(database_url: str) -> Iterator[Scenario]:
    """Give a target that was equal, and has one row that the source has deleted since."""
    yield from _filled(database_url)


@pytest.fixture
def sqlite_target(sqlite_url: str) -> Iterator[Scenario]:
    """Give the same target on SQLite."""
    yield from _filled(sqlite_url)


def _filled(url: str) -> Iterator[Scenario]:
    engine = open_engine(url)
    scenario = Scenario(database_for(engine))
    values = ", ".join(f"({number}, '{name}')" for number, name in [*ROWS, (99, "gone")])
    scenario.execute(CREATE, f"INSERT INTO t VALUES {values}")
    yield scenario
    engine.dispose()
