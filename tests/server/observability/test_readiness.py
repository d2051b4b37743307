"""``/ready``: whether databases answer and directories can be read, for anybody, as often as he likes."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from threading import Event
from typing import Any

import anyio
import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.observability.readiness import Readiness, Source
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import own_lines, run_sqlite, send

TOKEN = "token-of-the-warehouse"


def ready(url: str, token: str | None = None) -> tuple[int, dict[str, Any]]:
    """Ask a server whether it is ready."""
    answer = send(url, "GET", "/ready", headers={"Authorization": f"Bearer {token}"} if token else {})
    return answer.status, json.loads(answer.body)


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, Any]:
    """Offer two tables of two databases, and a directory."""
    for name in ("a", "b"):
        run_sqlite(tmp_path / f"{name}.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    (tmp_path / "files").mkdir()
    return {
        "connections": {name: f"sqlite:///{tmp_path / name}.db" for name in ("a", "b", "unused")},
        "tables": {"t": {"connection": "a"}, "shop.*": {"connection": "b"}},
        "directories": {"d": {"path": str(tmp_path / "files")}},
        "tokens": [{"token": TOKEN}, {"token": "token-of-few", "tables": ["shop.orders"], "directories": []}],
    }


def test_ready(settings: dict[str, Any]) -> None:
    """A server is ready if its sources answer; a token shows the names of the sources that it sees."""
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        assert ready(server.url) == (200, {"status": "ready"})
        both = {"a": "ready", "b": "ready"}
        assert ready(server.url, TOKEN) == (200, {"status": "ready", "connections": both, "directories": {"d": "ready"}})
        assert ready(server.url, "token-of-few") == (200, {"status": "ready", "connections": {"b": "ready"}, "directories": {}})
        assert ready(server.url, "wrong-token")[0] == 401


@pytest.mark.parametrize("what", ["database", "directory"])
def test_not_ready(settings: dict[str, Any], tmp_path: Path, what: str, caplog: pytest.LogCaptureFixture) -> None:
    """If one source does not answer, the server answers 503; only the log has the reason."""
    if what == "database":
        (tmp_path / "a.db").write_bytes(b"no database" * 1000)
    else:
        (tmp_path / "files").rmdir()
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        status, body = ready(server.url)
        assert (status, body) == (503, {"status": "not ready"})
        status, body = ready(server.url, TOKEN)
        shown = body["connections"]["a"] if what == "database" else body["directories"]["d"]
        assert (status, shown) == (503, "not ready")
        assert body["connections"]["b"] == "ready"
    (line,) = [line for line in own_lines(caplog, logging.WARNING) if line.startswith("Not ready: ")]
    assert ("connections.a" if what == "database" else "directories.d") in line


def test_a_server_without_tokens(settings: dict[str, Any]) -> None:
    """If no token is needed, every client sees the names."""
    with RunningServer(ServerConfig.from_dict({**settings, "tokens": []})) as server:
        assert ready(server.url)[1]["directories"] == {"d": "ready"}


def test_nobody_can_keep_a_database_busy() -> None:
    """With many simultaneous or frequent requests, each source is queried once."""
    looks: list[int] = []

    async def ask_often() -> None:
        readiness = Readiness([Source("connections", "a", lambda: looks.append(1))], seconds=600)
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(readiness.check)

    anyio.run(ask_often)
    assert looks == [1]


def test_a_source_that_hangs() -> None:
    """A source that does not answer in time is not ready, has no second query, and does not delay the end."""
    released, looks = Event(), [0]

    def hang() -> None:
        looks[0] += 1
        released.wait(60)

    async def ask() -> list[bool]:
        readiness = Readiness([Source("connections", "a", hang), Source("directories", "d", lambda: None)], patience=1)
        outcomes = [ready for _ in range(2) for ready in (await readiness.check()).values()]
        released.set()
        return outcomes

    assert anyio.run(ask) == [False, True, False, True]
    assert looks == [1]


def test_a_source_that_comes_back() -> None:
    """A result is used only for some seconds."""
    outcomes = iter([OSError("down"), None])

    def look() -> None:
        if error := next(outcomes):
            raise error

    async def ask_twice() -> list[bool]:
        readiness = Readiness([Source("connections", "a", look)], seconds=0.0)
        return [ready for _ in range(2) for ready in (await readiness.check()).values()]

    assert anyio.run(ask_twice) == [False, True]


@pytest.mark.parametrize(
    ("entries", "grant", "own"),
    [
        (("orders",), Grant(frozenset({"orders"}), frozenset()), "orders"),
        (("orders",), Grant(frozenset({"o*"}), frozenset()), "orders"),
        (("o*",), Grant(frozenset({"orders"}), frozenset()), "orders"),
        (("payroll", "orders"), Grant(frozenset({"orders"}), frozenset()), "orders"),
        (("payroll", "orders_of_partners"), Grant(frozenset(), frozenset(), {"orders": "orders_of_partners"}), "orders"),
        (("payroll", "orders"), Grant(frozenset({"*", "payroll", "orders"}), frozenset()), "payroll"),
        (("orders",), Grant(frozenset({"customers", "c*"}), frozenset()), None),
    ],
)
def test_names_of_connections(entries: tuple[str, ...], grant: Grant, own: str | None) -> None:
    """A caller sees a connection's name if it may see one of its tables; an unnamed connection has that table's name."""
    named = Source("connections", "a", lambda: None, entries)
    assert named.name_for(grant) == (own and "a")
    unnamed = Source("connections", f"of table {entries[0]}", lambda: None, entries, is_named=False)
    assert unnamed.name_for(grant) == (own and f"of table {own}")


def test_a_table_that_a_token_does_not_see(settings: dict[str, Any]) -> None:
    """For a database that tables name by URL, a token does not get the name of a hidden table."""
    settings["tables"] = {name: {"connection": settings["connections"]["a"], "table": "t"} for name in ("payroll", "shop.orders")}
    del settings["connections"]
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        assert ready(server.url, "token-of-few")[1]["connections"] == {"of table shop.orders": "ready"}
        assert ready(server.url, TOKEN)[1]["connections"] == {"of table payroll": "ready"}
