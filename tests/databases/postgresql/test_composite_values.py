"""Composite values whose fields are all NULL, which ``IS NULL`` calls NULL though they are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.sync.link import Link, linked

EMPTY, HALF = "(,)", "(1,)"


@pytest.fixture(params=["1", "2"])
def alike(
    request: pytest.FixtureRequest, postgresql_url: str, database_servers: DatabaseServers, tmp_path: Path
) -> Iterator[Link]:
    """Give source and target on one server, by each version of the protocol."""
    with database_servers.database(POSTGRESQL, tmp_path) as target, linked(postgresql_url, target) as link:
        link.protocol = request.param
        link.create("CREATE TYPE pair AS (a INTEGER, b TEXT)")
        yield link


def changes(link: Link, options: dict[str, Any] | None = None) -> tuple[int, int, int]:
    """Sync, find that the next sync has nothing to do, and return how many rows were inserted, updated and deleted."""
    report = link.sync_one("t", options)
    assert link.sync_one("t", options).status == "unchanged"
    return report.rows_inserted, report.rows_updated, report.rows_deleted


@pytest.mark.parametrize("mode", ["mirror", "upsert", "soft_delete", "history"])
def test_they_are_keys(alike: Link, mode: str) -> None:
    """A row with such a key is inserted, updated and deleted like any other."""
    own = {"soft_delete": ", deleted_at TIMESTAMP", "history": ", valid_from TIMESTAMP, valid_to TIMESTAMP, is_current BOOLEAN"}
    key = "v, valid_from" if mode == "history" else "v"
    alike.source.execute("CREATE TABLE t (v pair PRIMARY KEY, n INTEGER)")
    alike.target.execute(f"CREATE TABLE t (v pair, n INTEGER{own.get(mode, '')}, PRIMARY KEY ({key}))")
    options = {"mode": mode, "allow_empty_source": True}
    alike.source.execute(f"INSERT INTO t VALUES ('{EMPTY}', 1), ('{HALF}', 1)")
    assert alike.sync_one("t", options).rows_inserted == 2
    alike.source.execute("UPDATE t SET n = 2")
    assert alike.sync_one("t", options).rows_updated == 2
    alike.source.execute("DELETE FROM t WHERE v = '(,)'::pair")
    assert alike.sync_one("t", options).rows_deleted == (0 if mode == "upsert" else 1)


def test_they_are_no_null(alike: Link) -> None:
    """NULL can become such a value, and the reverse."""
    alike.create("CREATE TABLE t (id INTEGER PRIMARY KEY, v pair)")
    alike.source.execute(f"INSERT INTO t VALUES (1, '{EMPTY}'), (2, NULL), (3, '{HALF}')")
    alike.target.execute(f"INSERT INTO t VALUES (1, NULL), (2, '{HALF}'), (3, '{EMPTY}')")
    assert changes(alike) == (0, 3, 0)
    assert alike.target.rows("t") == alike.source.rows("t") == [(1, EMPTY), (2, None), (3, HALF)]


def test_they_are_masked(alike: Link) -> None:
    """A mask that keeps NULL does not turn them into NULL."""
    alike.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v pair)", f"INSERT INTO t VALUES (1, '{EMPTY}'), (2, NULL)")
    alike.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)")
    alike.offered["t"] = {"mask": {"v": "redact"}}
    alike.sync_one("t")
    assert alike.target.rows("t") == [(1, "***"), (2, None)]


def test_they_are_forgotten(alike: Link) -> None:
    """``gone_columns: set_null`` sets them to NULL, including those with one NULL field."""
    alike.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    alike.target.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v pair)", f"INSERT INTO t VALUES (1, '{EMPTY}'), (2, '{HALF}')")
    alike.sync_one("t", {"gone_columns": "set_null"})
    assert alike.target.rows("t") == [(1, None), (2, None)]
