"""``protocol: auto`` beside a server of version 1: asked once in a whole run, and the syncs of version 1 from then on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync import plan_run, run
from tests.client.scripted_server import recorded, reply, stream
from tests.scenario import Scenario
from tests.sync.tables.version1.existing_server import ExistingServer, existing_server

MD5 = {"a.txt": "b1946ac92492d2347c6235b4d2611184", "zero.bin": "d41d8cd98f00b204e9800998ecf8427e"}


@pytest.fixture
def server() -> Iterator[ExistingServer]:
    """Give an existing server with a table and a directory."""
    with existing_server() as server:
        server.answer("/getTableHash", reply(200, b'{"hash":"%b"}' % (b"8b" * 20)))
        server.answer("/getTable", stream(gzip.compress(b'{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n')))
        server.answer("/getFileHashes", reply(200, json.dumps({"hashes": MD5}).encode()))
        server.answer("/getFiles", recorded("files_zero_last"))
        yield server


@pytest.fixture
def target(sqlite_url: str) -> Iterator[Scenario]:
    """Give a target with two tables."""
    engine = open_engine(sqlite_url)
    scenario = Scenario(database_for(engine))
    for name in ("one", "two"):
        scenario.execute(f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, name VARCHAR(50))", f"INSERT INTO {name} VALUES (1, 'x')")
    yield scenario
    engine.dispose()


def configuration(server: ExistingServer, url: str, folder: Path, protocol: str) -> ClientConfig:
    """Configure two tables and a directory."""
    return ClientConfig.from_dict(
        {
            "url": server.url,
            "protocol": protocol,
            "retries": 0,
            "connections": {"local": url},
            "tables": {"one": {}, "two": {}},
            "directories": {"d": {"path": str(folder)}},
        }
    )


@pytest.mark.parametrize(("protocol", "questions"), [("auto", 1), ("1", 0)])
def test_a_run_beside_version_1(
    server: ExistingServer, target: Scenario, sqlite_url: str, tmp_path: Path, protocol: str, questions: int
) -> None:
    """Tables and directories arrive, the reports say version 1, and the version was requested at most once."""
    folder = tmp_path / "files"
    config = configuration(server, sqlite_url, folder, protocol)
    reports = run(config, plan_run(config))
    assert [(report.name, report.status, report.protocol) for report in reports] == [
        ("one", "changed", 1),
        ("two", "changed", 1),
        ("d", "changed", 1),
    ]
    assert target.rows("one") == target.rows("two") == [(1, "one"), (2, "two")]
    assert sorted(path.name for path in folder.iterdir()) == sorted(MD5)
    assert len(server.requests("/capabilities")) == questions


def test_version_2_is_demanded_of_version_1(server: ExistingServer, target: Scenario, sqlite_url: str, tmp_path: Path) -> None:
    """``protocol: 2`` with a version 1 server is an error of each table; none is changed."""
    config = configuration(server, sqlite_url, tmp_path / "files", "2")
    with pytest.raises(SyncFailed, match="only version 1") as failure:
        run(config, plan_run(config))
    assert not failure.value.retryable
    assert {report.status for report in failure.value.reports if report.kind == "table"} == {"failed"}
    assert target.rows("one") == target.rows("two") == [(1, "x")]
    assert server.requests("/getTable") == []
