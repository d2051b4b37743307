"""The sync server inside Airflow's API server."""

from __future__ import annotations

import gzip
import json
import logging
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import anyio
import pytest
import yaml
from starlette.testclient import TestClient

from airflow_provider_sync.plugin.mounted_server import mounted_server
from airflow_provider_sync.server.sources import Sources
from tests.airflow_runs import migrate_metadata_database
from tests.plugin.api_server import ApiServer
from tests.server.process.running import wait_until
from tests.server.tables.served_tables import execute
from tests.server.tables.table_locks import locked, waiting

ROWS = 3
TOKEN = "own-token"

Configure = Callable[..., dict[str, str]]
Mounted = Callable[..., dict[str, TestClient]]


@pytest.fixture(scope="module")
def configure(tmp_path_factory: pytest.TempPathFactory) -> Configure:
    """Write a ``server.yaml`` that offers a table of a connection, and a directory; return the settings that name it."""
    folder = tmp_path_factory.mktemp("served")
    with closing(sqlite3.connect(folder / "shop.db")) as database, database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY)")
        database.executemany("INSERT INTO orders VALUES (?)", [(number,) for number in range(ROWS)])
    (folder / "images").mkdir()
    (folder / "images" / "large").write_bytes(b"x" * 100_000)
    configuration = {
        "tokens": [TOKEN],
        "connections": {"shop": "airflow://shop_db"},
        "tables": {"orders": {}},
        "directories": {"images": {"path": str(folder / "images")}},
    }

    def configure(**changes: object) -> dict[str, str]:
        path = folder / "server.yaml"
        path.write_text(yaml.safe_dump(configuration | changes))
        return {
            "AIRFLOW__SYNC__SERVER_CONFIG": str(path),
            "AIRFLOW__SYNC__HISTORY": f"sqlite:///{folder / 'history.db'}",
            "AIRFLOW_CONN_SHOP_DB": json.dumps({"conn_type": "sqlite", "host": str(folder / "shop.db")}),
        }

    return configure


@pytest.fixture(scope="module")
def server(configure: Configure) -> Iterator[ApiServer]:
    """Give the API server with the sync server in it."""
    with ApiServer(configure()) as server:
        yield server


@pytest.fixture
def mounted(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Mounted:
    """Ask for what would be mounted with other settings, without the rest of Airflow: clients by their prefix."""

    def mounted(settings: dict[str, str] | None = None, **changes: object) -> dict[str, TestClient]:
        for name, value in (configure(**changes) | (settings or {})).items():
            monkeypatch.setenv(name, value)
        return {entry["url_prefix"]: TestClient(entry["app"]) for entry in mounted_server()}

    return mounted


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def test_own_tokens(server: ApiServer) -> None:
    """The server under its prefix accepts only its own tokens, but no login of Airflow and no cookie."""
    assert server.get("/sync/health").json() == {"status": "ok"}
    offered = server.get("/sync/capabilities", headers=bearer(TOKEN)).json()
    assert [entry if isinstance(entry, str) else entry["name"] for entry in offered["tables"]] == ["orders"]
    assert server.get("/sync/capabilities").status_code == 401
    assert server.get("/sync/capabilities", headers={"Cookie": f"_token={server.token('ann')}"}).status_code == 401
    assert server.get("/sync/capabilities", headers=bearer(server.token("ann"))).status_code == 401


def test_a_connection_by_its_id(server: ApiServer) -> None:
    """A table comes from the database that an Airflow connection names."""
    answer = server.client.post("/sync/getTable", data={"config_name": "orders"}, headers=bearer(TOKEN))
    assert answer.status_code == 200
    assert len(gzip.decompress(answer.content).splitlines()) == ROWS


def test_a_connection_that_is_not_there(mounted: Mounted) -> None:
    """A connection that Airflow lacks is an error that names it and the next step."""
    migrate_metadata_database()
    client = mounted(connections={"shop": "airflow://nowhere"})["/sync"]
    answer = client.post("/getTable", data={"config_name": "orders"}, headers=bearer(TOKEN))
    assert answer.status_code == 500
    assert "nowhere" in answer.json()["message"]
    assert "Add the connection" in answer.json()["message"]


def test_what_operators_ask(mounted: Mounted) -> None:
    """The server in Airflow has readiness, and metrics for requests with their token."""
    scraper = "token-of-the-scraper"
    with mounted(metrics={"token": scraper})["/sync"] as client:
        assert client.get("/ready").json() == {"status": "ready"}
        names = client.get("/ready", headers=bearer(TOKEN)).json()
        assert (names["connections"], names["directories"]) == ({"shop": "ready"}, {"images": "ready"})
        assert client.get("/metrics").status_code == 401
        text = client.get("/metrics", headers=bearer(scraper)).text
    assert 'sync_server_requests_total{endpoint="ready",status="200"} 2.0' in text


def test_nothing_is_compressed_twice(server: ApiServer) -> None:
    """Airflow's own compression does not change streams, also for clients that accept it."""
    headers = {**bearer(TOKEN), "Accept-Encoding": "gzip"}
    answer = server.client.post("/sync/getFiles", data={"config_name": "images", "files[]": ["large"]}, headers=headers)
    assert answer.status_code == 200
    assert answer.headers["content-encoding"] == "identity"
    assert len(answer.content) > 0


def test_tokens_of_airflow(configure: Configure) -> None:
    """If they are enabled, a JWT of a user who may read connections is valid; other users' JWTs are not."""
    with ApiServer(configure(tokens=[]) | {"AIRFLOW__SYNC__SERVER_AIRFLOW_TOKENS": "True"}) as server:
        for user, status in (("ann", 200), ("otto", 200), ("vera", 401)):
            assert server.get("/sync/capabilities", headers=bearer(server.token(user))).status_code == status
        assert server.get("/sync/capabilities").status_code == 401
        for token in (b"a.b.c", b"..", b"\xfc.\xff.c", b"a.b.c" * 500):
            assert server.get("/sync/capabilities", headers={"Authorization": b"Bearer " + token}).status_code == 401
        # A cookie is sent along by browsers, whichever page makes them ask.
        assert server.get("/sync/capabilities", headers={"Cookie": f"_token={server.token('ann')}"}).status_code == 401


def test_connections_are_closed(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the API server ends, the connections of the sync server are closed."""
    closed: list[Sources] = []
    monkeypatch.setattr(Sources, "close", lambda sources: closed.append(sources))
    with ApiServer(configure()) as server:
        assert server.get("/sync/health").status_code == 200
        assert closed == []
    assert len(closed) == 1


def test_the_rest_of_airflow_works(configure: Configure) -> None:
    """A wrong configuration answers 503 in JSON, and Airflow still answers."""
    with ApiServer(configure(tokens=[])) as server:
        for answer in (server.get("/sync/capabilities", headers=bearer(TOKEN)), server.client.post("/sync/getTable")):
            assert answer.status_code == 503
            assert "the log of the API server says why" in answer.json()["message"]
        assert server.get("/api/v2/version").status_code == 200


WAITING = 45
"""Requests, more than the 40 threads that an API server has for all that blocks."""


def test_requests_that_wait(configure: Configure, postgresql_url: str) -> None:
    """While requests wait for a locked table, Airflow still answers; requests above the limit get 503."""
    execute(postgresql_url, "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    settings = configure(connections={"shop": postgresql_url}, tables={"t": {}}, limits={"requests": WAITING})
    with ApiServer(settings) as server, ThreadPoolExecutor(WAITING + 1) as threads:

        def ask() -> Any:
            return server.client.post("/sync/getTable", data={"config_name": "t"}, headers=bearer(TOKEN))

        with locked(postgresql_url):
            answers = [threads.submit(ask) for _ in range(WAITING)]
            wait_until(lambda: waiting(postgresql_url) >= WAITING)
            # Both need a thread, and the metadata database.
            for path in ("/api/v2/dags", "/api/v2/monitor/health"):
                assert threads.submit(server.get, path, "ann").result(timeout=60).status_code == 200
            one_more = ask()
        assert {answer.result().status_code for answer in answers} == {200}
    assert (one_more.status_code, one_more.headers["retry-after"]) == (503, "5")
    assert "limits.requests" in one_more.json()["message"]


def test_a_client_that_goes_away(mounted: Mounted) -> None:
    """A client that disconnects leaves no traceback in the API server's log, although Airflow's middleware needs an answer."""
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": "/getTable", "query_string": b"", "headers": headers}
    anyio.run(mounted()["/sync"].app, scope, receive, send)
    assert [message.get("status") for message in sent] == [499, None]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tokens": []}, "has no tokens"),
        ({"tabels": {}}, "There is no option 'tabels'"),
        ({"tokens": ["${SYNC_NEVER_SET}"]}, "SYNC_NEVER_SET is not set"),
    ],
)
def test_a_configuration_that_cannot_be_used(
    mounted: Mounted, changes: dict[str, object], reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A wrong configuration is one line with the reason in the log, which requests do not show."""
    with caplog.at_level(logging.ERROR):
        answer = mounted(**changes)["/sync"].get("/capabilities", headers=bearer(TOKEN))
    (line,) = [record.message for record in caplog.records if record.name.startswith("airflow_provider_sync")]
    assert reason in line
    assert "Fix it and restart the API server." in line
    assert answer.status_code == 503
    assert reason not in answer.text


def test_another_prefix(mounted: Mounted) -> None:
    """The prefix is configurable, with or without slashes around it."""
    assert list(mounted({"AIRFLOW__SYNC__SERVER_PREFIX": "offers/here/"})) == ["/offers/here"]


def test_no_prefix(mounted: Mounted, caplog: pytest.LogCaptureFixture) -> None:
    """Without a prefix, no server is mounted over Airflow itself, and the log says what to set."""
    assert mounted({"AIRFLOW__SYNC__SERVER_PREFIX": "/"}) == {}
    assert "server_prefix is empty" in caplog.text


def test_settings_that_cannot_be_read(mounted: Mounted, caplog: pytest.LogCaptureFixture) -> None:
    """A setting of the wrong type mounts no server, and the log names it; Airflow continues."""
    assert mounted({"AIRFLOW__SYNC__HISTORY_DAYS": "a while"}) == {}
    assert "history_days is 'a while'" in caplog.text
