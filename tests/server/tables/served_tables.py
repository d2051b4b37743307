"""Tables in a database, and a server for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy

from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import config

BESIDE_T = ("CREATE VIEW v AS SELECT * FROM t", "CREATE TABLE keyless (a INT)")
"""What :data:`MISFITS` speaks of, beside a table ``t`` with the key ``id``."""

MISFITS: list[tuple[dict[str, Any], str]] = [
    ({"table": "nope"}, "'nope'"),
    ({"table": "v"}, "view"),
    ({"columns": ["id", "nope"]}, "has no column 'nope', which `columns` names"),
    ({"primary": "nope"}, "has no column 'nope', which `primary` names"),
    ({"columns": ["a"]}, "without the column 'id' of its key"),
    ({"table": "keyless"}, "has no primary key. Name the columns that identify a row with `primary`"),
]
"""Options with which ``t`` cannot be served, and words of the refusal, in either version of the protocol."""


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
