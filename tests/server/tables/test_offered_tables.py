"""Tables that patterns of the configuration match, asked for over a socket."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import sqlalchemy

from airflow_provider_sync.history import Origin, open_history
from airflow_provider_sync.protocol.v2.messages import DescribeTable, RequestedSlice
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.server.tables import offered_tables
from tests.server.process.running import wait_until
from tests.server.tables.served_tables import execute
from tests.server.wire import ask, config, post, run_sqlite, send

WAITING = 45
"""Requests, more than the 40 threads that a process has for all that blocks."""

UNKNOWN = b'{"config_name":["Config name not in sync-server.tables"]}'


@contextmanager
def offering(url: str, tables: Any, **settings: Any) -> Iterator[str]:
    """Serve the tables of one database."""
    with RunningServer(config(url, tables=tables, **settings)) as server:
        yield server.url


def offered(base: str, token: str | None = None) -> dict[str, list[str]]:
    """Return the names that a token is told, with their windows."""
    answer = send(base, "GET", "/capabilities", headers={"Authorization": f"Bearer {token}"} if token else {})
    assert answer.status == 200, answer.body
    tables: dict[str, list[str]] = json.loads(answer.body)["tables"]
    return tables


def statuses(base: str, name: str, token: str | None = None) -> tuple[int, int, int]:
    """Ask for a table by every version: its description, its hash, its rows."""
    described = ask(base, "/describeTable", DescribeTable(table_slice=RequestedSlice(name=name)), token=token)
    hashed = post(base, "/getTableHash", {"config_name": name}, token=token)
    rows = post(base, "/getTable", {"config_name": name}, token=token)
    for answer in (described, hashed, rows):
        assert answer.status == 200 or answer.body == UNKNOWN
    return described.status, hashed.status, rows.status


def create(*names: str) -> list[str]:
    """Return statements that create tables."""
    return [f"CREATE TABLE {name} (id INT NOT NULL PRIMARY KEY, a VARCHAR(9))" for name in names]


@pytest.fixture
def shop(tmp_path: Path) -> str:
    """Give an SQLite database with some tables."""
    run_sqlite(tmp_path / "shop.db", ";".join(create("orders", "items", "tmp_1", "Parts")))
    return f"sqlite:///{tmp_path / 'shop.db'}"


def test_every_table_of_a_database(database_url: str) -> None:
    """A pattern offers all tables but excluded ones, views and ours; new ones without a restart."""
    execute(database_url, *create("items", "orders", "tmp_1", "_sync_left"), "CREATE VIEW seen AS SELECT * FROM orders")
    if not database_url.startswith("duckdb"):
        open_history(database_url).record([TableReport(name="t", status="unchanged")], Origin(source="command", job="run"))
    with offering(database_url, {"*": {"exclude": ["tmp_*"], "windows": ["id"]}}) as base:
        assert offered(base) == {"items": ["id"], "orders": ["id"]}
        assert statuses(base, "orders") == (200, 200, 200)
        for hidden in ("tmp_1", "_sync_left", "sync_history", "seen", "nothing", "*", "ORDERS"):
            assert statuses(base, hidden) == (422, 422, 422)
        execute(database_url, *create("later"), "DROP TABLE items")
        assert statuses(base, "later") == (200, 200, 200)
        assert list(offered(base)) == ["later", "orders"]


def test_tables_of_a_schema(database_url: str) -> None:
    """A pattern with a schema offers its tables under full names, or under those from `table`."""
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite has schemas only in databases that are attached")
    name = f"other_{Path(str(sqlalchemy.make_url(database_url).database)).stem}"
    execute(database_url, f"CREATE SCHEMA {name}", *create(f"{name}.orders", f"{name}.tmp_1", "orders"))
    try:
        with offering(database_url, {f"{name}.*": {"exclude": ["tmp_*"]}, "copy.*": {"table": f"{name}.*"}}) as base:
            assert list(offered(base)) == [f"{name}.orders", "copy.orders", "copy.tmp_1"]
            assert statuses(base, f"{name}.orders") == (200, 200, 200)
            assert statuses(base, "copy.tmp_1") == (200, 200, 200)
            assert statuses(base, "orders") == (422, 422, 422)
        with offering(database_url, {"absent.*": {}}) as base:
            assert offered(base) == {}
    finally:
        execute(database_url, f"DROP TABLE {name}.orders", f"DROP TABLE {name}.tmp_1", f"DROP SCHEMA {name}")


def test_names_and_earlier_patterns_win(shop: str) -> None:
    """A name's own options apply, or those of the first matching pattern; each table is offered once."""
    tables = {"o*": {"windows": ["id"]}, "*": {"exclude": ["tmp_*"]}, "items": {"columns": ["id"]}, "renamed": {"table": "Parts"}}
    with offering(shop, tables) as base:
        assert offered(base) == {"orders": ["id"], "Parts": [], "items": [], "renamed": []}
        assert b"columns" in ask(base, "/describeTable", b'{"table_slice":{"name":"items","columns":["a"]}}').body


def test_several_databases(shop: str, tmp_path: Path) -> None:
    """Each connection may have its own pattern."""
    run_sqlite(tmp_path / "crm.db", ";".join(create("people", "orders")))
    tables = {"*": {"connection": "main"}, "crm.*": {"connection": "crm", "table": "*"}}
    connections = {"main": shop, "crm": f"sqlite:///{tmp_path / 'crm.db'}"}
    with RunningServer(config(tables=tables, connections=connections)) as server:
        assert list(offered(server.url)) == ["Parts", "items", "orders", "tmp_1", "crm.orders", "crm.people"]
        assert statuses(server.url, "crm.people") == (200, 200, 200)
        assert statuses(server.url, "people") == (422, 422, 422)


def test_tokens_with_patterns(shop: str) -> None:
    """A token sees the offered tables that its names and patterns match; all others count as missing."""
    tokens = ["all", {"token": "some", "tables": ["it*", "Parts", "tmp_*"]}, {"token": "none", "tables": []}]
    with offering(shop, {"*": {"exclude": ["tmp_*"]}}, tokens=tokens) as base:
        assert list(offered(base, "all")) == ["Parts", "items", "orders"]
        assert list(offered(base, "some")) == ["Parts", "items"]
        assert offered(base, "none") == {}
        assert statuses(base, "items", "some") == (200, 200, 200)
        for hidden in ("orders", "tmp_1"):
            assert statuses(base, hidden, "some") == (422, 422, 422)


def test_a_condition_for_a_misspelt_name(shop: str, caplog: pytest.LogCaptureFixture) -> None:
    """The log warns of a condition for a name that no table of a pattern has, since the token sees all rows then."""
    tokens = [
        {"token": "right", "where": {"orders": "id > 0"}},
        {"token": "wrong", "name": "berlin", "where": {"Orders": "id > 0"}},
    ]
    with offering(shop, "*", tokens=tokens) as base:
        offered(base, "right")
        assert "where" not in caplog.text
        offered(base, "wrong")
        offered(base, "wrong")
    assert caplog.text.count("The token 'berlin' has a where for 'Orders', but sees no table of that name.") == 1


def test_case_tells_tables_apart(shop: str) -> None:
    """A name in another case is another table, even if the database ignores case."""
    with offering(shop, "*") as base:
        assert statuses(base, "Parts") == (200, 200, 200)
        assert statuses(base, "parts") == (422, 422, 422)


def test_known_names_are_remembered(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests for known tables do not list the database again."""
    listed = []
    names_where = offered_tables.names_where

    def counting(*arguments: Any) -> frozenset[str]:
        listed.append(arguments)
        return names_where(*arguments)

    monkeypatch.setattr(offered_tables, "names_where", counting)
    monkeypatch.setattr(offered_tables, "KNOWN_SECONDS", 600.0)
    with offering(shop, "*") as base:
        offered(base)
        for name in ("orders", "items", "Parts"):
            assert statuses(base, name) == (200, 200, 200)
        assert len(listed) == 1


def test_a_database_that_is_down() -> None:
    """While the database of a pattern does not answer, requests fail instead of listing no tables."""
    with offering("postgresql://me@127.0.0.1:9/shop", "*") as base:
        assert send(base, "GET", "/capabilities").status == 503
        assert post(base, "/getTableHash", {"config_name": "orders"}).status == 503


def test_a_database_that_hangs(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests that wait for the list of a hanging database take places, but no threads of others."""
    answers = Event()

    def hanging(*_: object) -> frozenset[str]:
        assert answers.wait(60)
        return frozenset({"orders"})

    monkeypatch.setattr(offered_tables, "names_where", hanging)
    limits = {"requests": WAITING, "connections_per_address": 100}
    with offering(shop, "*", limits=limits) as base, ThreadPoolExecutor(WAITING) as threads:
        # Until each has a place: the question below takes one, too, for a moment.
        asked = [threads.submit(wait_until, lambda: send(base, "GET", "/capabilities").status == 200) for _ in range(WAITING)]
        try:
            wait_until(lambda: post(base, "/getFileHashes", {"config_name": "nothing"}).status == 503)
            assert send(base, "GET", "/metrics").status == 200
        finally:
            answers.set()
        for answered in asked:
            answered.result()


def test_too_many_tables(shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More tables than a client accepts are an error that says what to do, instead of a truncated list."""
    monkeypatch.setattr(offered_tables, "MAX_TABLES", 3)
    with offering(shop, "*") as base:
        answer = send(base, "GET", "/capabilities")
        assert answer.status == 500
        assert b"match 4 tables, and a client can be offered 3. Give narrower patterns" in answer.body
