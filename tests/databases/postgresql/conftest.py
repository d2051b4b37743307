"""A database for all tests of a module, emptied before each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase
from tests.database_servers import DatabaseServers
from tests.databases.postgresql.databases import DRIVERS, empty, open_database, shared_database


@pytest.fixture(scope="module")
def shared_url(database_servers: DatabaseServers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of the module's database."""
    with shared_database(database_servers, tmp_path_factory.mktemp("postgresql")) as url:
        yield url


@pytest.fixture(params=DRIVERS)
def database(request: pytest.FixtureRequest, shared_url: str) -> Iterator[PostgreSQLDatabase]:
    """Give an empty database, once through each driver."""
    with open_database(shared_url, request.param) as database:
        empty(database)
        yield database
