"""A source that others hold up is told as what it is, before the client gives up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConnectionLimitError, ServerError, SessionTimeoutError, TableError, TransportError
from airflow_provider_sync.protocol.v2.messages import DescribeTable, RequestedSlice
from airflow_provider_sync.server import sources
from airflow_provider_sync.server.error_answers import status_and_message
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.database_servers import POSTGRESQL, DatabaseServers
from tests.databases.plain_role import plain_role
from tests.scenario import Scenario
from tests.server.wire import post
from tests.stuck_target import until

LOCKS = {
    "mysql": "LOCK TABLES t WRITE",
    "postgresql": "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE",
    "sqlite": "BEGIN EXCLUSIVE",
}


@contextmanager
def opened(url: str) -> Iterator[Scenario]:
    """Open a database."""
    engine = open_engine(url)
    yield Scenario(database_for(engine))
    engine.dispose()


def test_a_locked_table_is_told_before_the_client_gives_up(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A locked table is answered 503 with the reason, by both versions, on every engine."""
    monkeypatch.setattr(sources, "LOCK_SECONDS", 1)
    config = ServerConfig.from_dict({"connections": {"source": database_url}, "tables": {"t": {}}})
    with opened(database_url) as scenario, RunningServer(config) as server:
        scenario.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        with scenario.database.connect() as holder:
            for statement in scenario.pick(LOCKS).split("; "):
                holder.exec_driver_sql(statement)
            answer = post(server.url, "/getTable", {"config_name": "t"})
            assert answer.status == 503
            told = json.loads(answer.body)
            assert any(word in told["message"] for word in ("lock", "busy"))
            assert told["of_table"] is True
            with SyncClient(server.url, retries=0) as client, pytest.raises(ServerError, match=r"lock|busy") as failure:
                list(client.describe_table(DescribeTable(table_slice=RequestedSlice(name="t"))))
            assert (failure.value.status, failure.value.of_table) == (503, True)
            holder.exec_driver_sql("UNLOCK TABLES" if scenario.dialect == "mysql" else "ROLLBACK")
        assert post(server.url, "/getTable", {"config_name": "t"}).status == 200


def test_a_server_without_a_connection_left(postgresql_url: str) -> None:
    """On PostgreSQL, the error for a role at its connection limit says so and does not ask for the host."""
    with opened(postgresql_url) as scenario:
        name = f"limited_{make_url(postgresql_url).database}"
        scenario.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
        try:
            _assert_limit_is_told(make_url(postgresql_url).set(username=name, password="secret").render_as_string(False), name)
        finally:
            scenario.execute(f"DROP ROLE {name}")


def test_a_database_that_is_closed(database_servers: DatabaseServers, postgresql_url: str) -> None:
    """A database that accepts no connections is a permanent error that says so."""
    with opened(database_servers.url(POSTGRESQL)) as server:
        server.execute(f"ALTER DATABASE {make_url(postgresql_url).database} ALLOW_CONNECTIONS false")
    with (
        opened(postgresql_url) as closed,
        pytest.raises(TableError, match="not currently accepting connections") as raised,
        closed.database.connect(),
    ):
        pass
    assert not raised.value.retryable


def test_a_database_that_is_closed_to_a_role(postgresql_url: str) -> None:
    """A database to which the role may not connect is a permanent error that says so."""
    with plain_role(postgresql_url) as url, opened(postgresql_url) as owner:
        owner.execute(f"REVOKE CONNECT ON DATABASE {make_url(postgresql_url).database} FROM PUBLIC")
        with (
            opened(url) as closed,
            pytest.raises(TableError, match="permission denied for database") as raised,
            closed.database.connect(),
        ):
            pass
    assert not raised.value.retryable


def test_a_server_without_a_connection_left_on_mariadb(mariadb_url: str) -> None:
    """On MariaDB, the error for a user at its connection limit says so."""
    with opened(mariadb_url) as scenario:
        name = f"limited_{make_url(mariadb_url).database}"
        user = f"'{name}'@'%'"
        scenario.execute(f"CREATE USER {user} IDENTIFIED BY 'secret' WITH MAX_USER_CONNECTIONS 1", f"GRANT ALL ON *.* TO {user}")
        url = make_url(mariadb_url).set(username=name, password="secret").render_as_string(False)
        try:
            with opened(url) as limited, limited.database.connect():
                _assert_limit_is_told(url, name)
        finally:
            scenario.execute(f"DROP USER {user}")


def _assert_limit_is_told(url: str, name: str) -> None:
    with opened(url) as limited, pytest.raises(ConnectionLimitError, match="no connection left"), limited.database.connect():
        pass
    config = ServerConfig.from_dict({"connections": {"source": url}, "tables": {"t": {}}})
    with RunningServer(config) as server:
        answer = post(server.url, "/getTableHash", {"config_name": "t"})
        assert answer.status == 503
        assert b"no connection left" in answer.body
        assert name.encode() not in answer.body


@pytest.mark.parametrize(
    ("driver", "limit", "kind", "advice"),
    [
        ("psycopg", "idle_in_transaction_session_timeout", SessionTimeoutError, "SET idle_in_transaction_session_timeout"),
        ("psycopg", "transaction_timeout", SessionTimeoutError, "SET transaction_timeout"),
        ("psycopg2", "idle_in_transaction_session_timeout", TransportError, "Its log has the reason"),
    ],
)
def test_a_session_that_takes_longer_than_the_role_may(
    postgresql_url: str, driver: str, limit: str, kind: type[TransportError], advice: str
) -> None:
    """If a role's limit ends a session, the transient error names it if the driver does."""
    url = make_url(postgresql_url).set(drivername=f"postgresql+{driver}").render_as_string(False)
    with opened(postgresql_url) as watcher, opened(url) as scenario, scenario.database.connect() as connection:
        if not watcher.scalar(f"SELECT count(*) FROM pg_settings WHERE name = '{limit}'"):
            pytest.skip(f"this server has no {limit}")
        process = connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
        connection.rollback()
        # Long enough for a busy driver to read the answer before the error comes: together with it, the driver ignores the error.
        connection.exec_driver_sql(f"BEGIN; SET LOCAL {limit} = 500")
        until(lambda: not watcher.scalar(f"SELECT count(*) FROM pg_stat_activity WHERE pid = {process}"))
        with pytest.raises(TransportError, match=advice) as raised, scenario.database.translate_errors():
            connection.exec_driver_sql("SELECT 1")
    assert type(raised.value) is kind
    assert raised.value.retryable
    status, message = status_and_message(raised.value)
    assert status == 503
    assert (message == str(raised.value)) is (kind is SessionTimeoutError)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_a_file_that_is_not_there_is_not_made(kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A mistyped path is an unreachable source that the log names; no empty database is created."""
    url = f"{kind}:///{tmp_path}/source.db"
    with RunningServer(ServerConfig.from_dict({"connections": {"source": url}, "tables": {"t": {}}})) as server:
        answer = post(server.url, "/getTable", {"config_name": "t"})
        assert answer.status == 503
        assert str(tmp_path) not in answer.body.decode()
        assert f"There is no file {tmp_path}/source.db. Is the path of the connection right?" in caplog.text
        assert list(tmp_path.iterdir()) == []
        with opened(url) as scenario:
            scenario.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
        assert post(server.url, "/getTable", {"config_name": "t"}).status == 200
