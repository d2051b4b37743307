"""A database file that is missing is created only for tables that the source describes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.client.transport import Call, Transport
from airflow_provider_sync.config import ClientConfig, ServerConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.report import TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import Opener, plan_run, run
from airflow_provider_sync.sync.run_steps import compare_tables, download_tables
from tests.client.scripted_server import reply
from tests.scenario import Scenario
from tests.sync.tables.version1.existing_server import existing_server

TOKEN = "a-token-for-tests-00"
OTHER = "another-token-of-tests"


def one_go(config: ClientConfig) -> None:
    """Sync everything in one task."""
    run(config, plan_run(config))


def first_step(config: ClientConfig) -> None:
    """Run the first of the three steps, which creates missing tables."""
    compare_tables(config, plan_run(config), opener=Opener(), run_id="r")


both_ways = pytest.mark.parametrize("sync", [one_go, first_step])


@pytest.fixture
def server(sqlite_url: str) -> Iterator[str]:
    """Serve a table with a key, one without, and one that does not exist; give the server's URL."""
    engine = open_engine(sqlite_url)
    Scenario(database_for(engine)).execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)", "INSERT INTO t VALUES (1, 2)", "CREATE TABLE keyless (v INTEGER)"
    )
    engine.dispose()
    tables: dict[str, Any] = {"t": {}, "keyless": {}, "gone": {}}
    config = ServerConfig.from_dict({"tokens": [TOKEN], "connections": {"source": sqlite_url}, "tables": tables})
    with RunningServer(config) as server:
        yield server.url


@pytest.fixture(params=["sqlite", "duckdb"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Give the path of a database file that is missing."""
    return tmp_path / "target" / f"new.{request.param}"


def configured(server: str, file: Path, *names: str, **options: Any) -> ClientConfig:
    """Configure tables that may be created in the file."""
    file.parent.mkdir(exist_ok=True)
    return ClientConfig.from_dict(
        {
            "url": server,
            "token": TOKEN,
            "retries": 0,
            "connections": {"local": f"{file.suffix[1:]}:///{file}"},
            "tables": {name: {"create_table": True} for name in names},
        }
        | options
    )


@both_ways
@pytest.mark.parametrize(
    ("names", "options", "reason"),
    [
        pytest.param("t", {"token": OTHER}, "token", id="token"),
        pytest.param("u", {}, "u", id="name"),
        pytest.param("t", {"url": "http://127.0.0.1:9"}, "127.0.0.1:9", id="no server"),
        pytest.param("gone", {}, "gone", id="no such table"),
        pytest.param("keyless", {}, "no primary key", id="no key"),
        pytest.param("t", {"protocol": "1"}, "There is no table 't'", id="version 1"),
    ],
)
def test_a_source_that_describes_no_table(
    server: str, file: Path, sync: Callable[[ClientConfig], None], names: str, options: dict[str, Any], reason: str
) -> None:
    """A wrong token, URL or name creates no file, and neither does a table that cannot be created."""
    with pytest.raises(SyncFailed, match=reason) as failure:
        sync(configured(server, file, names, **options))
    assert [(report.name, report.status) for report in failure.value.reports] == [(names, "failed")]
    assert list(file.parent.iterdir()) == []


@both_ways
def test_a_wrong_url(file: Path, sync: Callable[[ClientConfig], None]) -> None:
    """A web page, which may mean a server of version 1, creates no file."""
    with existing_server() as other:
        other.answer("/getTableHash", reply(404, b"<html>"))
        with pytest.raises(SyncFailed):
            sync(configured(other.url, file, "t"))
    assert list(file.parent.iterdir()) == []


@both_ways
def test_a_wrong_name_beside_a_right_one(server: str, file: Path, sync: Callable[[ClientConfig], None]) -> None:
    """If the tables are created one by one, the right one is created in the new file."""
    with pytest.raises(SyncFailed):
        sync(configured(server, file, "u", "t", single_transaction=False))
    engine = open_engine(f"{file.suffix[1:]}:///{file}")
    assert "t" in Scenario(database_for(engine)).names()
    engine.dispose()


@pytest.mark.parametrize("single_transaction", [True, False])
@pytest.mark.parametrize("names", [["t"], ["t", "u"]], ids=len)
def test_each_table_is_described_once(
    sqlite_url: str, file: Path, asked: list[str], names: list[str], single_transaction: bool
) -> None:
    """The descriptions by which the file is created are those by which its tables are, and the reports count all requests."""
    engine = open_engine(sqlite_url)
    for name in names:
        Scenario(database_for(engine)).execute(
            f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, v INTEGER)", f"INSERT INTO {name} VALUES (1, 2)"
        )
    engine.dispose()
    offered = ServerConfig.from_dict({"connections": {"source": sqlite_url}, "tables": {name: {} for name in names}})
    with RunningServer(offered) as server:
        config = configured(server.url, file, *names, single_transaction=single_transaction)
        reports = run(config, plan_run(config))
        assert asked.count("/describeTable") + asked.count("/describeTables") == 1, asked
        assert sum(report.requests for report in reports if isinstance(report, TableReport)) == len(asked), asked
        asked.clear()
        reports = run(config, plan_run(config))
        assert sum(report.requests for report in reports if isinstance(report, TableReport)) == len(asked), asked


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Record the endpoints of all requests."""
    endpoints: list[str] = []
    send = Transport._send

    def recorded(transport: Transport, call: Call, *arguments: Any) -> Any:
        endpoints.append(call.endpoint)
        return send(transport, call, *arguments)

    monkeypatch.setattr(Transport, "_send", recorded)
    return endpoints


def test_a_file_that_is_removed_between_the_steps(server: str, file: Path) -> None:
    """The steps after the first create no file."""
    config = configured(server, file, "t")
    slices = compare_tables(config, plan_run(config), opener=Opener(), run_id="r").pieces
    file.unlink()
    with pytest.raises(SyncFailed, match="There is no table 't'"):
        download_tables(config, plan_run(config), slices, opener=Opener())
    assert list(file.parent.iterdir()) == []


def test_a_wrong_name_in_a_transaction(server: str, file: Path) -> None:
    """If the tables share a transaction, none can be created, so no file is."""
    with pytest.raises(SyncFailed):
        one_go(configured(server, file, "t", "u"))
    assert list(file.parent.iterdir()) == []
