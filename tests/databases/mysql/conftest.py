"""A fresh database for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.mysql.database import MySQLDatabase
from tests.databases.mysql.databases import WAYS, open_database
from tests.scenario import Scenario


@pytest.fixture(params=WAYS)
def database(request: pytest.FixtureRequest) -> Iterator[MySQLDatabase]:
    """Give a fresh database on each server, through each driver."""
    server, driver = request.param.split("-")
    with open_database(request.getfixturevalue(f"{server}_url"), driver) as opened:
        yield opened


@pytest.fixture
def mariadb(mariadb_url: str) -> Iterator[MySQLDatabase]:
    """Give a fresh MariaDB database."""
    with open_database(mariadb_url) as opened:
        yield opened


@pytest.fixture
def mysql(mysql_url: str) -> Iterator[MySQLDatabase]:
    """Give a fresh MySQL database."""
    with open_database(mysql_url) as opened:
        yield opened


@pytest.fixture(params=["mariadb", "mysql"])
def on(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """Give a fresh database of each of the two servers."""
    engine = open_engine(request.getfixturevalue(f"{request.param}_url"))
    yield Scenario(MySQLDatabase(engine))
    engine.dispose()
