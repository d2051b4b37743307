"""Sources whose tables other sessions lock: the server waits once for a run, not once for each table and each attempt."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.transport import _Pause
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.exceptions import SyncError, SyncFailed
from airflow_provider_sync.protocol.lock_wait import BRIEF_WAIT, HEADER, requested_wait
from airflow_provider_sync.protocol.v2.messages import DescribeTable, RequestedSlice
from airflow_provider_sync.server import sources
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.scenario import opened
from tests.server.wire import send
from tests.sync.link import Link, linked
from tests.sync.tables.recorded_waits import recorded_waits

NAMES = ["a", "b", "c", "d", "e"]

LOCKS = {
    "mariadb": ["LOCK TABLES a WRITE, b WRITE, c WRITE, d WRITE"],
    "mysql": ["LOCK TABLES a WRITE, b WRITE, c WRITE, d WRITE"],
    "postgresql": ["BEGIN", "LOCK TABLE a, b, c, d IN ACCESS EXCLUSIVE MODE"],
}
"""How another session locks the tables."""

FIRST_WAIT = 2


@pytest.fixture(params=["mariadb", pytest.param("mysql", marks=pytest.mark.slow), "postgresql"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name an engine; the server waits shortly for locks, and the client does not pause."""
    monkeypatch.setattr(sources, "LOCK_SECONDS", FIRST_WAIT)
    monkeypatch.setattr(_Pause, "__call__", lambda *_: 0.0)
    return str(request.param)


@pytest.fixture
def link(engine: str, request: pytest.FixtureRequest, sqlite_url: str) -> Iterator[Link]:
    """Link a source and a target that differ in each table."""
    with linked(request.getfixturevalue(f"{engine}_url"), sqlite_url) as link:
        for name in NAMES:
            link.create(f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, v INTEGER)")
            link.source.execute(f"INSERT INTO {name} VALUES (1, 1)")
        yield link


@contextmanager
def locked(link: Link, engine: str) -> Iterator[None]:
    """Lock tables of the source in another session."""
    with opened(link.source_url) as other, other.database.connect() as connection:
        for statement in LOCKS[engine]:
            connection.exec_driver_sql(statement)
        yield


@pytest.mark.parametrize("single_transaction", [False, True])
@pytest.mark.parametrize("protocol", ["1", "2"])
def test_one_wait_for_all(link: Link, engine: str, protocol: str, single_transaction: bool) -> None:
    """The first locked table is waited for as long as the server does, all others, and repeated requests, briefly."""
    config = ServerConfig.from_dict({"connections": {"source": link.source_url}, "tables": {name: {} for name in NAMES}})
    tables = [table_from_options(name, {}) for name in NAMES]
    with (
        RunningServer(config) as server,
        SyncClient(server.url, retries=1, protocol=protocol) as client,
        recorded_waits(link.source.database) as waits,
        locked(link, engine),
        pytest.raises(SyncFailed) as failed,
    ):
        sync_tables(client, tables, link.target.database, single_transaction=single_transaction)
    assert failed.value.retryable
    assert waits[0] == FIRST_WAIT
    assert len(waits) >= 4
    assert set(waits[1:]) == {BRIEF_WAIT}
    statuses = {report.name: report.status for report in failed.value.reports}
    assert (statuses["e"] == "changed") is not single_transaction


def test_one_wait_for_a_snapshot(link: Link, engine: str) -> None:
    """A snapshot of all tables waits as long as the server does once, and briefly when it is requested again."""
    config = ServerConfig.from_dict({"connections": {"source": link.source_url}, "tables": {name: {} for name in NAMES}})
    with (
        RunningServer(config) as server,
        SyncClient(server.url, retries=2, protocol="2") as client,
        recorded_waits(link.source.database) as waits,
        locked(link, engine),
        pytest.raises(SyncError) as failed,
        client.holding_snapshot(NAMES),
    ):
        client.describe_table(DescribeTable(table_slice=RequestedSlice(name="a"), digests=False))
    assert failed.value.retryable
    assert waits[0] == FIRST_WAIT
    assert set(waits[1:]) == {BRIEF_WAIT}


@pytest.mark.parametrize("value", ["", "-1", "1.5", "soon", "²", "9" * 400])
def test_other_values_of_the_header(sqlite_url: str, value: str) -> None:
    """A value that is no number of seconds is ignored; a request never waits without end."""
    assert requested_wait(value) is None
    config = ServerConfig.from_dict({"connections": {"source": sqlite_url}, "tables": {"t": {}}})
    with opened(sqlite_url) as source, RunningServer(config) as server:
        source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        headers = {"Content-Type": "application/json", HEADER: value}
        assert send(server.url, "POST", "/getTableHash", body=b'{"config_name": "t"}', headers=headers).status == 200


def test_seconds() -> None:
    """A number is taken, but at least a second, since zero means no limit on some databases."""
    assert [requested_wait(text) for text in ("0", "7", None)] == [1, 7, None]
