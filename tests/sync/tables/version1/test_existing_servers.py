"""The client half beside servers of existing installations, quirks included; and existing clients beside our server."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.report import DirectoryReport, TableReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_directory, sync_tables, table_differs
from tests.client.scripted_server import recorded, reply, stream, until_closed
from tests.scenario import Scenario
from tests.server.wire import post
from tests.sync.directories.mirror import contents, everything, put, target_directory
from tests.sync.tables.version1.existing_server import ExistingServer, existing_server

GOLDEN = Path(__file__).parents[3] / "golden" / "tables"
HASH = "8b880909ef7b5580492edeea44c0b27c783e98ed"
ERROR = recorded("hash_no_pk_500")
GLUED = b'{\n    "message": "Server Error"\n}'
HTML = reply(200, b"<!DOCTYPE html><title>Log in</title>", kind="text/html")
LINES = (GOLDEN / "s_basic.ndjson").read_bytes()
ROWS = [(1, "one"), (2, "two")]
TABLE = gzip.compress(b'{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n')


@pytest.fixture
def server() -> Iterator[ExistingServer]:
    """Give an existing server that can hash, and has the two rows of the tests."""
    with existing_server() as server:
        server.answer("/getTableHash", reply(200, b'{"hash":"%b"}' % HASH.encode()))
        server.answer("/getTable", stream(TABLE))
        yield server


@pytest.fixture
def target(sqlite_url: str) -> Iterator[Scenario]:
    """Give a target with a row of its own."""
    engine = open_engine(sqlite_url)
    scenario = Scenario(database_for(engine))
    scenario.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name VARCHAR(50))", "INSERT INTO t VALUES (9, 'old')")
    yield scenario
    engine.dispose()


def sync(server: ExistingServer, target: Scenario, **options: Any) -> TableReport:
    """Sync the table ``t``, whose deletions are allowed."""
    with SyncClient(server.url, retries=0) as client:
        return sync_tables(client, [table_from_options("t", options)], target.database)[0]


def sync_files(server: ExistingServer, folder: Path, **options: Any) -> DirectoryReport:
    """Sync into a folder."""
    with SyncClient(server.url, retries=0) as client:
        return sync_directory(client, target_directory(options), open_storage(str(folder)))


# -- tables ----------------------------------------------------------------------------------------------------------------


def test_a_recorded_table_arrives_and_is_equal_then(server: ExistingServer, target: Scenario) -> None:
    """A table recorded from an existing server arrives, has its hash, and is unchanged the next time."""
    statements = (GOLDEN / "s_basic.sql").read_text()
    target.run_script(statements)
    expected = target.rows("s_basic")
    target.execute("DELETE FROM s_basic")
    server.answer("/getTable", stream(gzip.compress(LINES)), recorded("table_304_trimmed"))
    report = sync(server, target, table="s_basic")
    assert (report.status, report.rows_inserted, report.verified) == ("changed", len(expected), "hash")
    assert target.rows("s_basic") == expected
    assert sync(server, target, table="s_basic").status == "unchanged"
    first, second = server.requests("/getTable")
    assert first.fields == [("config_name", "t"), ("hash", "--EMPTY--")]
    assert second.fields == [("config_name", "t"), ("hash", HASH)]
    assert target.names() == ["s_basic", "t"]


def test_a_server_that_cannot_hash_sends_the_table(server: ExistingServer, target: Scenario) -> None:
    """A server that fails to hash but sends the table is synced without a hash; the report says so."""
    server.answer("/getTableHash", ERROR)
    server.answer("/getTable", ERROR, stream(TABLE))
    report = sync(server, target)
    assert (report.status, report.verified, report.rows_inserted, report.rows_deleted) == ("changed", "rows", 2, 1)
    assert any("cannot hash" in warning for warning in report.warnings)
    assert target.rows("t") == ROWS
    assert target.names() == ["t"]


def test_columns_that_a_server_without_hash_may_hide(server: ExistingServer, target: Scenario) -> None:
    """Without a hash, nothing else shows that the source may have a column that is INVISIBLE there; the report names it."""
    target.execute("ALTER TABLE t ADD COLUMN v INTEGER")
    server.answer("/getTableHash", ERROR)
    server.answer("/getTable", ERROR, stream(TABLE))
    for status in ("changed", "unchanged"):
        report = sync(server, target)
        assert report.status == status
        assert any("The source may have v, too, but INVISIBLE: such columns are not sent" in text for text in report.warnings)


def test_a_server_that_fails_altogether_is_an_error(server: ExistingServer, target: Scenario) -> None:
    """A server that can neither hash nor send a table is a transient error."""
    server.answer("/getTable", ERROR)
    with pytest.raises(SyncFailed, match="status 500") as failure:
        sync(server, target)
    assert failure.value.retryable
    assert target.rows("t") == [(9, "old")]


def test_a_hash_that_is_not_the_rows_is_told(server: ExistingServer, target: Scenario) -> None:
    """Rows with another hash than the server's are synced, verified by rows, with a warning."""
    report = sync(server, target)
    assert (report.status, report.verified) == ("changed", "rows")
    assert any("hashes of source and target differ" in warning for warning in report.warnings)
    assert target.rows("t") == ROWS


def test_a_window_is_refused_even_if_tables_are_equal(server: ExistingServer, target: Scenario) -> None:
    """A window is an error in a sensor's comparison, too, and not an answer about the whole tables."""
    table = table_from_options("t", {"window": ["name", "a", "b"]})
    with SyncClient(server.url, retries=0) as client, pytest.raises(ConfigurationError, match="a window needs version 2"):
        table_differs(client, table, target.database)
    with pytest.raises(SyncFailed, match="a window needs version 2"):
        sync(server, target, window=["name", "a", "b"])
    assert target.rows("t") == [(9, "old")]


UNUSABLE = {
    "lost row": stream(gzip.compress(b'{"id":1,"name":"one"}\n\n')),
    "cut chunks": stream(TABLE[:30], end=False),
    "cut gzip": until_closed(TABLE[:-12]),
    "cut in the checksum": until_closed(TABLE[:-2]),
    "no body": until_closed(b""),
    "glued error": until_closed(TABLE + GLUED),
    "glued error inside": stream(gzip.compress(b'{"id":1,"name":"one"}\n' + GLUED)),
    "last line without its end": stream(gzip.compress(b'{"id":1,"name":"one"}')),
    "other columns in a row": stream(gzip.compress(b'{"id":1,"name":"one"}\n{"id":2}\n')),
    "nested value": stream(gzip.compress(b'{"id":1,"name":["one"]}\n')),
    "not gzip": stream(b'{"id":1,"name":"one"}\n'),
    "html": HTML,
    "json": reply(200, b"[]"),
    "redirect": reply(302, headers={"Location": "https://elsewhere.example/login"}),
    "unauthenticated": recorded("auth_none_json"),
    "unknown table": recorded("table_unknown"),
    "unknown endpoint": recorded("table_unknown_endpoint"),
    "same key twice": stream(gzip.compress(b'{"id":1,"name":"one"}\n{"id":1,"name":"two"}\n')),
    "unknown column": stream(gzip.compress(b'{"id":1,"name":"one","other":1}\n')),
    "no key column": stream(gzip.compress(b'{"name":"one"}\n')),
    "empty": stream(gzip.compress(b"")),
}


@pytest.mark.parametrize("answer", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_a_table_changes_nothing(server: ExistingServer, target: Scenario, answer: bytes) -> None:
    """Any other answer than a complete table is refused in one line, and the target is as it was."""
    server.answer("/getTable", answer)
    with pytest.raises(SyncFailed) as failure:
        sync(server, target)
    (report,) = failure.value.reports
    assert (report.name, report.status) == ("t", "failed")
    assert re.search(r"'t'|\bt\.id\b|/getTable|refused access", str(report.error))
    assert "\n" not in str(report.error)
    assert target.rows("t") == [(9, "old")]
    assert target.names() == ["t"]


def test_a_lost_row_is_explained(server: ExistingServer, target: Scenario) -> None:
    """An empty line for a row that version 1 cannot carry is refused with the table and the reason."""
    server.answer("/getTable", UNUSABLE["lost row"])
    with pytest.raises(SyncFailed, match=r"(?i)'t'.*UTF-8"):
        sync(server, target)
    assert target.rows("t") == [(9, "old")]


# -- directories -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["filehashes_empty", "filehashes_missing"])
def test_an_empty_list_is_an_empty_directory(server: ExistingServer, tmp_path: Path, name: str) -> None:
    """``[]``, the existing servers' answer for an empty or missing directory, deletes only with permission."""
    put(open_storage(str(tmp_path / "d")), "a", "kept")
    server.answer("/getFileHashes", recorded(name))
    with pytest.raises(SyncFailed, match="allow_empty_source"):
        sync_files(server, tmp_path / "d")
    assert everything(tmp_path / "d") == ["a"]
    assert sync_files(server, tmp_path / "d", allow_empty_source=True).files_deleted == 1
    assert everything(tmp_path / "d") == []


def test_a_list_is_files_named_by_numbers(server: ExistingServer, tmp_path: Path) -> None:
    """A JSON list, the existing servers' answer for files named 0, 1, 2, is read as such."""
    server.answer("/getFileHashes", recorded("filehashes_num"))
    with pytest.raises(SyncFailed, match="nothing at"):
        sync_files(server, tmp_path / "d")
    request = server.requests("/getFiles")[0]
    names = [value for field, value in request.fields if field.startswith("files")]
    assert names[:2] == ["0", "1"]


def test_recorded_files_arrive(server: ExistingServer, tmp_path: Path) -> None:
    """Recorded files of an existing server arrive, including an empty one; fields are numbered from 0."""
    md5 = {"a.txt": "b1946ac92492d2347c6235b4d2611184", "zero.bin": "d41d8cd98f00b204e9800998ecf8427e"}
    server.answer("/getFileHashes", reply(200, json.dumps({"hashes": md5}).encode()))
    server.answer("/getFiles", recorded("files_zero_last"))
    assert sync_files(server, tmp_path / "d").files_added == 2
    assert contents(open_storage(str(tmp_path / "d"))) == {"a.txt": "hello\n", "zero.bin": ""}
    (request,) = server.requests("/getFiles")
    assert request.fields == [("config_name", "d"), ("files[0]", "a.txt"), ("files[1]", "zero.bin")]


@pytest.mark.parametrize(
    "answer",
    [
        HTML,
        ERROR,
        reply(200, b'{"hashes":"none"}'),
        reply(200, b'{"hashes":{"a":1}}'),
        reply(200, b'{"hashes":{"a":""}' + GLUED),
        reply(200, b'{"hashes":{"/etc/passwd":"x"}}'),
        reply(200, b'{"hashes":{"a/../../b":"x"}}'),
        reply(200, b'{"hash'),
        recorded("auth_none_json"),
        recorded("filehashes_table_name"),
    ],
    ids=["html", "500", "text", "number", "glued error", "absolute", "out of the root", "cut", "unauthenticated", "unknown"],
)
def test_what_cannot_be_a_manifest_changes_nothing(server: ExistingServer, tmp_path: Path, answer: bytes) -> None:
    """Any other answer than a manifest is refused in one line, and the target is as it was."""
    put(open_storage(str(tmp_path / "d")), "a", "kept")
    server.answer("/getFileHashes", answer)
    with pytest.raises(SyncFailed) as failure:
        sync_files(server, tmp_path / "d", allow_empty_source=True)
    assert "\n" not in str(failure.value)
    assert contents(open_storage(str(tmp_path / "d"))) == {"a": "kept"}
    assert everything(tmp_path) == ["d", "d/a"]


# -- existing clients ------------------------------------------------------------------------------------------------------


def test_an_existing_client_beside_our_server(sqlite_url: str, tmp_path: Path) -> None:
    """An existing client sends its hash, ``--EMPTY--`` at first, and numbers files from 0 in each request."""
    engine = open_engine(sqlite_url)
    Scenario(database_for(engine)).run_script((GOLDEN / "s_basic.sql").read_text())
    engine.dispose()
    source = open_storage(str(tmp_path / "d"))
    for name in "abc":
        put(source, name, name * 3)
    settings = {"connections": {"source": sqlite_url}, "tables": {"t": {"table": "s_basic"}}}
    config = ServerConfig.from_dict({**settings, "directories": {"d": {"path": str(tmp_path / "d")}}})
    with RunningServer(config) as server:
        rows = post(server.url, "/getTable", {"config_name": "t", "hash": "--EMPTY--"})
        assert (rows.status, gzip.decompress(rows.body)) == (200, LINES)
        again = post(server.url, "/getTable", {"config_name": "t", "hash": HASH})
        assert (again.status, again.body) == (304, b"")

        manifest = json.loads(post(server.url, "/getFileHashes", {"config_name": "d"}).body)["hashes"]
        received = b""
        for batch in (["a", "b"], ["c"]):
            files = [(f"files[{number}]", name) for number, name in enumerate(batch)]
            received += post(server.url, "/getFiles", [("config_name", "d"), *files]).body
    assert sorted(manifest) == ["a", "b", "c"]
    frame = b'\x00\x00\x00\x15{"file":"%b","size":3}'
    assert received.replace(b" ", b"") == b"".join(frame % name + name * 3 for name in (b"a", b"b", b"c"))
