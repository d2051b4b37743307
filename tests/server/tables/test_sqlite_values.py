"""SQLite keeps values of any kind in any column; version 1 sends only those that arrive as what they are."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_tables
from tests.client.scripted_server import reply, stream
from tests.scenario import Scenario
from tests.server.wire import post
from tests.sync.link import Link, linked
from tests.sync.tables.version1.existing_server import existing_server

LOST = [("", "x'6162'"), ("ANY", "x'6162'"), ("JSON", "x'5c17611331'"), ("JSONB", "x'5c17611331'")]
KEPT = [
    ("", "'text'"),
    ("", "1"),
    ("ANY", "'text'"),
    ("TEXT", "'text'"),
    ("INTEGER", "'no number'"),
    ("BLOB", "x'6162'"),
    ("BLOB", "7"),
    ("REAL", "1.5"),
]
DECLARED = [
    ("TEXT", "x'6162'"),
    ("VARCHAR(20)", "x'3132'"),
    ("INTEGER", "x'6162'"),
    ("NUMERIC", "x'6162'"),
    ("BLOB", "'text'"),
    ("VARBINARY(20)", "'text'"),
]


def _tables(folder: Path, kind: str, value: str) -> tuple[Scenario, Scenario]:
    both = []
    for name in ("source", "target"):
        scenario = Scenario(database_for(open_engine(f"sqlite:///{folder / name}.db")))
        scenario.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {kind})")
        both.append(scenario)
    both[0].execute(f"INSERT INTO t VALUES (1, {value}), (2, NULL)")
    both[1].execute("INSERT INTO t VALUES (9, NULL)")
    return both[0], both[1]


@pytest.mark.parametrize(("kind", "value"), LOST)
def test_what_would_arrive_as_something_else_is_refused(tmp_path: Path, kind: str, value: str) -> None:
    """A blob in a column without a type, or of JSON, is a 422 that points to version 2."""
    source, target = _tables(tmp_path, kind, value)
    url = source.database.engine.url.render_as_string()
    config = ServerConfig.from_dict({"connections": {"source": url}, "tables": {"t": {}}})
    with RunningServer(config) as server:
        answer = post(server.url, "/getTable", {"config_name": "t"})
        assert answer.status == 422
        (message,) = json.loads(answer.body)["config_name"]
        assert "column 'v'" in message
        assert "version 2" in message
        with SyncClient(server.url, retries=0, protocol=1) as client, pytest.raises(SyncFailed, match="version 2"):
            sync_tables(client, [table_from_options("t", {})], target.database)
        assert target.rows("t") == [(9, None)]
        with SyncClient(server.url, retries=0) as client:
            sync_tables(client, [table_from_options("t", {})], target.database)
    assert target.rows("t") == source.rows("t")
    assert target.scalar("SELECT typeof(v) FROM t WHERE id = 1") == source.scalar("SELECT typeof(v) FROM t WHERE id = 1")


@pytest.mark.parametrize(("kind", "value"), KEPT)
def test_what_arrives_as_it_is_is_sent(tmp_path: Path, kind: str, value: str) -> None:
    """Any other value arrives unchanged in a column of the same type."""
    source, target = _tables(tmp_path, kind, value)
    url = source.database.engine.url.render_as_string()
    config = ServerConfig.from_dict({"connections": {"source": url}, "tables": {"t": {}}})
    with RunningServer(config) as server, SyncClient(server.url, retries=0, protocol=1) as client:
        (report,) = sync_tables(client, [table_from_options("t", {})], target.database)
    assert report.verified == "hash"
    assert target.rows("t") == source.rows("t")
    assert target.scalar("SELECT typeof(v) FROM t WHERE id = 1") == source.scalar("SELECT typeof(v) FROM t WHERE id = 1")


@pytest.mark.parametrize(("kind", "value"), DECLARED)
def test_a_declared_type_says_what_a_string_is(tmp_path: Path, kind: str, value: str) -> None:
    """A value of another type than declared arrives as the declared type, with the same characters."""
    arrived = []
    for protocol in (1, 2):
        folder = tmp_path / str(protocol)
        folder.mkdir()
        source, target = _tables(folder, kind, value)
        config = ServerConfig.from_dict(
            {"connections": {"source": source.database.engine.url.render_as_string()}, "tables": {"t": {}}}
        )
        with RunningServer(config) as server, SyncClient(server.url, retries=0, protocol=protocol) as client:
            sync_tables(client, [table_from_options("t", {})], target.database)
        arrived.append(target.rows("t"))
    assert arrived[0] == arrived[1]


@pytest.fixture
def two_same(tmp_path: Path) -> Iterator[Link]:
    """Give source and target, and a client that takes version 2."""
    with linked(f"sqlite:///{tmp_path / 's.db'}", f"sqlite:///{tmp_path / 't.db'}") as link:
        link.protocol = "2"
        yield link


NUMBERS = ", (7, 12), (8, 1.5)"


@pytest.mark.parametrize(("declared", "numbers"), [("JSON", NUMBERS), ("JSONB", NUMBERS), ("TEXT", "")])
def test_jsonb_stays_jsonb(two_same: Link, declared: str, numbers: str) -> None:
    """JSON as text, as a number and as JSONB, UTF-8 or not, arrives unchanged, also in columns of text."""
    values = f"""(1, x'5c17611331'), (2, '{{"a":1}}'), (3, NULL), (4, x'ff00'), (5, '"x''ab''"'), (6, x''){numbers}"""
    two_same.source.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v JSON)", f"INSERT INTO t VALUES {values}")
    two_same.target.execute(f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})")
    types = "SELECT group_concat(id || typeof(v) || hex(v)) FROM t"
    assert two_same.sync_one("t").verified == "digest"
    assert two_same.target.scalar(types) == two_same.source.scalar(types)
    two_same.source.execute("UPDATE t SET v = CAST(v AS TEXT) WHERE id = 1", "UPDATE t SET v = CAST(v AS BLOB) WHERE id = 2")
    assert two_same.sync_one("t").rows_updated == 2
    assert two_same.target.scalar(types) == two_same.source.scalar(types)
    assert two_same.sync_one("t").status == "unchanged"


@pytest.mark.parametrize("declared", ["", "ANY"])
def test_an_existing_server_tells_no_blob_from_text(tmp_path: Path, declared: str) -> None:
    """Values of an existing server for a column without a type arrive as text, and the report explains that."""
    _, target = _tables(tmp_path, declared, "1")
    with existing_server() as server, SyncClient(server.url, retries=0) as client:
        server.answer("/getTableHash", reply(200, b'{"hash":"%b"}' % (b"0" * 40)))
        server.answer("/getTable", stream(gzip.compress(b'{"id":1,"v":"ab"}\n')))
        (report,) = sync_tables(client, [table_from_options("t", {})], target.database)
    assert any("Column v of 't' takes any type" in warning for warning in report.warnings)
    assert target.rows("t") == [(1, "ab")]
