"""How many connections a sync opens: on PostgreSQL, each is a process of the server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import event

from tests.sync.link import Link, linked


@pytest.fixture
def link(postgresql_url: str, sqlite_url: str) -> Iterator[Link]:
    """Give a PostgreSQL target by version 2, with two rows in the source's table and one in its own."""
    with linked(sqlite_url, postgresql_url) as link:
        link.protocol = "2"
        link.create("CREATE TABLE fruit (id INTEGER PRIMARY KEY, name VARCHAR(20))", "INSERT INTO fruit VALUES (1, 'apple')")
        link.source.execute("INSERT INTO fruit VALUES (2, 'pear')")
        yield link


def test_connections_of_a_sync(link: Link) -> None:
    """A sync connects once each to lock, describe, load, ask for digest functions, digest segments and rows, and clean up."""
    opened: list[object] = []
    event.listen(link.target.database.engine, "connect", lambda *new: opened.append(new))
    assert link.sync_one("fruit").status == "changed"
    assert len(opened) == 7
    link.assert_equal("fruit")
