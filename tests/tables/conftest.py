"""Fixtures of the tests of tables: a database of each engine behind the one contract."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.tables.connect import open_engine
from airflow_provider_sync.tables.engines import database_for
from tests.tables.scenario import Scenario


@pytest.fixture
def on(database_url: str) -> Iterator[Scenario]:
    """Give a fresh database of each engine."""
    yield from _scenario(database_url)


@pytest.fixture
def sqlite_on(sqlite_url: str) -> Iterator[Scenario]:
    """Give a fresh SQLite database."""
    yield from _scenario(sqlite_url)


@pytest.fixture
def postgresql_on(postgresql_url: str) -> Iterator[Scenario]:
    """Give a fresh PostgreSQL database."""
    yield from _scenario(postgresql_url)


def _scenario(url: str) -> Iterator[Scenario]:
    engine = open_engine(url)
    yield Scenario(database_for(engine))
    engine.dispose()


@pytest.fixture
def fruit(on: Scenario) -> Scenario:
    """Give a database with a table of three rows."""
    on.execute(
        "CREATE TABLE fruit (id INTEGER NOT NULL PRIMARY KEY, name {CASELESS})",
        "INSERT INTO fruit VALUES (1, 'apple'), (2, 'pear'), (3, 'plum')",
    )
    return on
