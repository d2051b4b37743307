"""A source whose database hangs holds no request for ever once it has to end, and never the whole server."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest

from airflow_provider_sync import escalation
from airflow_provider_sync.databases.postgresql import cancel as postgresql_cancel
from airflow_provider_sync.protocol.v2.messages import GetRows, RequestedSlice
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.own_servers import OwnServers
from tests.server.process.running import wait_until
from tests.server.tables.table_locks import locked, waiting
from tests.server.test_streaming import fill
from tests.server.wire import config, open_stream, post, send

T = GetRows(table_slice=RequestedSlice(name="t"))


@pytest.fixture(scope="module")
def own_servers() -> Iterator[OwnServers]:
    """Give servers that may hang."""
    with OwnServers() as servers:
        yield servers


@pytest.fixture(params=["mariadb", "postgresql", "postgresql-blocking"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Give the name of an engine, of PostgreSQL also with drivers that block the process while they cancel."""
    name, _, blocks = request.param.partition("-")
    if blocks:
        monkeypatch.setattr(postgresql_cancel, "cancels_without_blocking", lambda _: False)
    monkeypatch.setattr(escalation, "PATIENCE_SECONDS", 0.5)
    return str(name)


@pytest.mark.parametrize("path", ["/getTable", "/getRows"])
def test_a_client_that_goes_away(own_servers: OwnServers, engine: str, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """Once its client has gone, a request whose database hangs ends, and its place is free; others are answered all the while."""
    caplog.set_level(logging.DEBUG, "airflow_provider_sync")
    server = own_servers.server(engine)
    with own_servers.database(engine) as url:
        fill(url, 10)
        with RunningServer(config(url, tables={"t": {}}, limits={"requests": 1})) as serving, locked(url), ExitStack() as hung:
            with closing(open_stream(serving.url, path, [("config_name", "t")] if path == "/getTable" else T)):
                wait_until(lambda: waiting(url))
                hung.enter_context(server.hanging())
            assert send(serving.url, "GET", "/health").status == 200
            wait_until(lambda: "complete=false" in caplog.text)
            assert send(serving.url, "GET", "/health").status == 200
    assert "did not answer to the cancelling of a request" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_age_of_a_request(own_servers: OwnServers, engine: str) -> None:
    """A request whose database hangs is answered 503 at its greatest age, and soon after that."""
    server = own_servers.server(engine)
    with own_servers.database(engine) as url:
        fill(url, 10)
        limits = {"max_stream_seconds": 1.0}
        # A driver that connects is not interrupted.
        url = f"{url}?connect_timeout=2"
        with RunningServer(config(url, tables={"t": {}}, limits=limits)) as serving:
            # On a busy machine, even to connect may take so long.
            wait_until(lambda: post(serving.url, "/getTable", {"config_name": "t"}).status == 200)
            with server.hanging():
                answer = post(serving.url, "/getTable", {"config_name": "t"})
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert b"limits.max_stream_seconds" in answer.body
