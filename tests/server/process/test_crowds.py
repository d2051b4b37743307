"""Many at once: clients, connections that do nothing, and requests without a token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import pytest
from sqlalchemy import Engine

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.benchmarks.crowd import TOKEN, ask_at_once, ask_without_token, hold_idle
from tests.server.tables.served_tables import execute

pytestmark = pytest.mark.slow


@contextmanager
def serving(url: str, opened: list[str]) -> Iterator[str]:
    """Serve a small table; databases that are opened are noted."""
    execute(url, "CREATE TABLE orders (id INTEGER PRIMARY KEY)", "INSERT INTO orders VALUES (1), (2)")
    config = ServerConfig.from_dict({"tokens": [TOKEN], "connections": {"shop": url}, "tables": {"orders": {}}})

    def open_noted(url: str) -> Engine:
        opened.append(url)
        return open_engine(url)

    with RunningServer(config, open_engine=open_noted) as server:
        yield server.url


def test_many_clients_at_once(postgresql_url: str) -> None:
    """All of 200 simultaneous clients are served; some are asked to come later."""
    with serving(postgresql_url, []) as url:
        assert {error for _, error in ask_at_once(url, TOKEN, 200)} == {None}


def test_idle_and_slow_connections(sqlite_url: str) -> None:
    """Connections that send nothing, or half of a request, do not keep others out."""
    with serving(sqlite_url, []) as url:
        for count in (64, 500):
            with ExitStack() as stack:
                hold_idle(url, count, stack)
                assert {error for _, error in ask_at_once(url, TOKEN, 8)} == {None}


def test_requests_without_a_token(sqlite_url: str) -> None:
    """Requests without a token do not use the database, and clients with one are served beside them."""
    opened: list[str] = []
    with serving(sqlite_url, opened) as url:
        statuses = asyncio.run(ask_without_token(url, 2000, per_second=1000))
        assert statuses.keys() <= {"401", "429", "closed"}
        assert opened == []
        with ThreadPoolExecutor(1) as threads:
            flood = threads.submit(asyncio.run, ask_without_token(url, 2000, per_second=1000))
            assert ask_at_once(url, TOKEN, 1)[0][1] is None
            flood.result()
        assert opened == [sqlite_url]
