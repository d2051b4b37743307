"""Fixtures of the tests of version 2: a table on every engine, and a server for it.

Files about other tables or servers have a ``url`` of their own.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.server.tables.served_tables import execute, served


@pytest.fixture
def url(database_url: str) -> str:
    """Have a table on every engine: an integer key among other columns."""
    execute(
        database_url,
        "CREATE TABLE t (b INT, id INT NOT NULL PRIMARY KEY, a VARCHAR(20) NOT NULL)",
        "INSERT INTO t (id, a, b) VALUES (-3, 'x', 30), (1, 'tab\t', NULL), (2, 'né', 20)",
    )
    return database_url


@pytest.fixture
def base(url: str) -> Iterator[str]:
    """Serve the table."""
    with served(url, t={"windows": ["b", "id"]}) as base:
        yield base


@pytest.fixture
def refusing(sqlite_url: str) -> Iterator[str]:
    """Serve a table that nobody gets to see."""
    execute(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    with served(sqlite_url) as base:
        yield base
