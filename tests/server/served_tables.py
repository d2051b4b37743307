"""Tables in a database, and a server for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy

from airflow_provider_sync.server.serve import RunningServer
from airflow_provider_sync.tables.connect import open_engine
from tests.server.wire import config


def execute(url: str, *statements: str) -> None:
    """Run statements in a database."""
    engine = open_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sqlalchemy.text(statement))
    engine.dispose()


@contextmanager
def served(url: str, **tables: dict[str, Any]) -> Iterator[str]:
    """Serve tables, by default one called t."""
    with RunningServer(config(url, tables=tables or {"t": {}})) as server:
        yield server.url
