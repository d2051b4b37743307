"""One line per request, and the audit log: who asked for what, and what they got."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.logs.formats import FIELDS
from airflow_provider_sync.protocol.v2.file_messages import ChunkFile, DigestFiles, ListFiles, ReadFiles, RequestedFile
from airflow_provider_sync.protocol.v2.messages import (
    ONE_SEGMENT,
    DescribeTable,
    DescribeTables,
    DigestRows,
    GetRows,
    RequestedSlice,
)
from airflow_provider_sync.server.observability import access_log
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.running import running
from tests.server.wire import ask, post, run_sqlite, send

TOKEN = "token-of-the-warehouse"
ACCESS = access_log.__name__


class Watched:
    """A server that runs until somebody asks what it has logged: a line is written after the last byte of an answer.

    :ivar url: of the server
    """

    def __init__(self, server: RunningServer, stack: ExitStack, caplog: pytest.LogCaptureFixture, audit_log: Path) -> None:
        self.url = server.url
        self._stack = stack
        self._caplog = caplog
        self._audit_log = audit_log

    def messages(self) -> list[str]:
        """Stop the server, and return the lines of its access log."""
        self._stack.close()
        return [record.getMessage() for record in self._caplog.records if record.name == ACCESS]

    def lines(self) -> list[dict[str, Any]]:
        """Stop the server, and return the facts of the lines of its access log."""
        self._stack.close()
        return [getattr(record, FIELDS) for record in self._caplog.records if record.name == ACCESS]

    def audit_log(self) -> str:
        """Stop the server, and return its audit log."""
        self._stack.close()
        return self._audit_log.read_text()


@pytest.fixture
def watched(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Watched]:
    """Serve a table of three rows and a directory of two files to whoever has a token."""
    run_sqlite(tmp_path / "a.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1,'x'),(2,'y'),(3,'z')")
    (tmp_path / "files").mkdir()
    for name in ("one", "two"):
        (tmp_path / "files" / name).write_text(name)
    settings = {
        "connections": {"main": f"sqlite:///{tmp_path / 'a.db'}"},
        "tables": {"t": {}, "broken": {"table": "nope"}},
        "directories": {"d": {"path": str(tmp_path / "files")}},
        "tokens": [{"token": TOKEN, "name": "warehouse"}],
        "audit_log": str(tmp_path / "audit.jsonl"),
    }
    caplog.set_level(logging.INFO, ACCESS)
    with ExitStack() as stack:
        server = stack.enter_context(RunningServer(ServerConfig.from_dict(settings)))
        yield Watched(server, stack, caplog, tmp_path / "audit.jsonl")


def fact(lines: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return some facts of each line, sorted: a line may come after that of the next request."""
    return sorted((tuple(line.get(name) for name in names) for line in lines), key=str)


def test_tables(watched: Watched) -> None:
    """Each request about tables has a line with the token's name, the table, and the number of read rows."""
    t = RequestedSlice(name="t")
    ask(watched.url, "/describeTable", DescribeTable(table_slice=t), token=TOKEN)
    both = DescribeTables(table_slices=(t, RequestedSlice(name="broken")), max_rows=100)
    ask(watched.url, "/describeTables", both, token=TOKEN)
    ask(watched.url, "/digestRows", DigestRows(table_slice=t, partitioning=ONE_SEGMENT, segment_ranges=((0, 0),)), token=TOKEN)
    ask(watched.url, "/getRows", GetRows(table_slice=t), token=TOKEN)
    assert post(watched.url, "/getTable", {"config_name": "t"}, token=TOKEN).status == 200
    assert post(watched.url, "/getTableHash", {"config_name": "t"}, token=TOKEN).status == 200
    found = watched.lines()
    assert fact(found, "endpoint", "table", "rows", "status", "token", "error") == [
        ("describeTable", "t", 3, 200, "warehouse", None),
        ("describeTables", None, 3, 200, "warehouse", None),
        ("digestRows", "t", 3, 200, "warehouse", None),
        ("getRows", "t", 3, 200, "warehouse", None),
        ("getTable", "t", 3, 200, "warehouse", None),
        ("getTableHash", "t", 0, 200, "warehouse", None),
    ]
    assert [line["tables"] for line in found if "tables" in line] == [["t", "broken"]]
    assert all(line["bytes"] > 0 and line["seconds"] > 0 and line["address"] == "127.0.0.1" for line in found)


def test_many_tables(watched: Watched) -> None:
    """A line about many tables names the first ones and counts the others; the audit log names all."""
    asked = DescribeTables(table_slices=tuple(RequestedSlice(name="t") for _ in range(25)), max_rows=10)
    ask(watched.url, "/describeTables", asked, token=TOKEN)
    (line,) = watched.lines()
    assert (line["tables"], line["tables_omitted"], line["rows"]) == (["t"] * 20, 5, 75)
    audited = json.loads(watched.audit_log())
    assert (audited["tables"], "tables_omitted" in audited) == (["t"] * 25, False)


def test_directories(watched: Watched, tmp_path: Path) -> None:
    """Each request about a directory has a line with its name and the number of read files."""
    ask(watched.url, "/listFiles", ListFiles(directory="d"), token=TOKEN)
    ask(watched.url, "/digestFiles", DigestFiles(directory="d", paths=("one", "gone")), token=TOKEN)
    listed = (tmp_path / "files" / "one").stat().st_mtime_ns
    read = ReadFiles(directory="d", files=(RequestedFile(path="one", size=3, mtime_ns=listed),))
    ask(watched.url, "/readFiles", read, token=TOKEN)
    ask(watched.url, "/chunkFile", ChunkFile(directory="d", path="two"), token=TOKEN)
    assert post(watched.url, "/getFileHashes", {"config_name": "d"}, token=TOKEN).status == 200
    assert post(watched.url, "/getFiles", {"config_name": "d", "files[0]": "one"}, token=TOKEN).status == 200
    assert fact(watched.lines(), "endpoint", "directory", "files", "status") == [
        ("chunkFile", "d", 1, 200),
        ("digestFiles", "d", 2, 200),
        ("getFileHashes", "d", 2, 200),
        ("getFiles", "d", 1, 200),
        ("listFiles", "d", 2, 200),
        ("readFiles", "d", 1, 200),
    ]


def test_refusals(watched: Watched) -> None:
    """The line of a refused request has the reason, but neither its token nor text that imitates a line."""
    post(watched.url, "/getTable", {"config_name": "t"}, token="wrong-token-of-somebody")
    post(watched.url, "/getTable", {"config_name": "nope"}, token=TOKEN)
    post(watched.url, "/getTable", {"config_name": "broken"}, token=TOKEN)
    send(watched.url, "GET", "/a%0Ab")
    found = watched.lines()
    assert fact(found, "endpoint", "status", "error", "token") == [
        ("/a\\nb", 404, "HTTPException", ""),
        ("getTable", 401, "Unauthenticated", ""),
        ("getTable", 422, "InvalidRequest", "warehouse"),
        ("getTable", 422, "MissingTableError", "warehouse"),
    ]
    assert "wrong-token" not in json.dumps(found)


def test_text(watched: Watched) -> None:
    """As text, a line has address, token, method and endpoint, and then words of the form name=value."""
    post(watched.url, "/getTable", {"config_name": "t"}, token=TOKEN)
    (line,) = watched.messages()
    words = line.split(" ")
    assert words[:6] == ["127.0.0.1", "warehouse", "POST", "getTable", "table=t", "rows=3"]
    assert [word.partition("=")[0] for word in words[6:]] == ["bytes", "seconds", "status"]


def test_probes(watched: Watched) -> None:
    """Frequent probes are not logged at the default level."""
    assert send(watched.url, "GET", "/health").status == 200
    assert watched.messages() == []


def test_audit_log(watched: Watched) -> None:
    """The audit log has one object for each answer with data or digests, and none for refusals."""
    post(watched.url, "/getTable", {"config_name": "t"}, token=TOKEN)
    ask(watched.url, "/listFiles", ListFiles(directory="d"), token=TOKEN)
    send(watched.url, "GET", "/capabilities", headers={"Authorization": f"Bearer {TOKEN}"})
    post(watched.url, "/getTable", {"config_name": "t"}, token="wrong-token-of-somebody")
    post(watched.url, "/getTable", {"config_name": "broken"}, token=TOKEN)
    text = watched.audit_log()
    found = [json.loads(line) for line in text.splitlines()]
    assert fact(found, "endpoint", "token", "tables", "directory", "rows", "files", "complete") == [
        ("getTable", "warehouse", ["t"], None, 3, None, True),
        ("listFiles", "warehouse", None, "d", None, 2, True),
    ]
    assert all(line["time"].endswith("+00:00") and line["bytes"] > 0 for line in found)
    assert TOKEN not in text


def test_an_audit_log_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server whose audit log cannot be written still answers, and says so once."""
    (tmp_path / "d").mkdir()
    settings = {"directories": {"d": {"path": str(tmp_path / "d")}}, "audit_log": "/dev/full", "log": {"access": False}}
    with RunningServer(ServerConfig.from_dict(settings)) as server:
        for _ in range(2):
            assert post(server.url, "/getFileHashes", {"config_name": "d"}).status == 200
    assert capsys.readouterr().err.count("The log file /dev/full cannot be written: No space left on device.") == 1


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/x%20rows=5%20status=200", '"/x rows=5 status=200"'),
        ("/x%22%20status=200%20%22", r'"/x\" status=200 \""'),
        ("/x%0Astatus=200", r"/x\nstatus=200"),
    ],
)
def test_a_path_that_looks_like_other_words(caplog: pytest.LogCaptureFixture, path: str, word: str) -> None:
    """A path with spaces or quotes is one word of the line."""
    caplog.set_level(logging.INFO, ACCESS)
    with RunningServer(ServerConfig()) as server:
        assert send(server.url.removesuffix("/api/sync"), "GET", path).status == 404
    (line,) = [record.getMessage() for record in caplog.records if record.name == ACCESS]
    assert line.startswith(f"127.0.0.1 - GET {word} bytes=")
    assert line.endswith("status=404 error=HTTPException")


def test_without_access_log(caplog: pytest.LogCaptureFixture) -> None:
    """With ``log: {access: false}``, requests have no lines."""
    caplog.set_level(logging.INFO, ACCESS)
    with RunningServer(ServerConfig.from_dict({"log": {"access": False}})) as server:
        assert send(server.url, "GET", "/capabilities").status == 200
    assert [record for record in caplog.records if record.name == ACCESS] == []


def test_a_log_that_is_full(tmp_path: Path) -> None:
    """A server whose log file cannot be written still answers, and says so once on standard error."""
    with running(tmp_path, "--log-file", "/dev/full", "--log-level", "debug") as server:
        for _ in range(3):
            assert send(server.url, "GET", "/capabilities").status == 200
        assert server.end() == 0
        assert server.log.splitlines() == [
            "The log file /dev/full cannot be written: No space left on device. Work goes on without these lines."
        ]


def test_a_log_of_several_processes(tmp_path: Path) -> None:
    """Workers write to one log file, as JSON if configured; flags override the configuration."""
    path = tmp_path / "logs" / "server.log"
    log = {"file": str(path), "format": "text", "max_bytes": 2000, "backups": 50}
    with running(tmp_path, "--workers", "2", "--log-format", "json", log=log) as server:
        for _ in range(20):
            assert send(server.url, "GET", "/capabilities").status == 200
        assert server.end() == 0
    lines = [json.loads(line) for file in path.parent.glob("server.log*") for line in file.read_text().splitlines()]
    found = [line for line in lines if line.get("endpoint") == "capabilities"]
    assert len(found) == 20
    assert {(line["level"], line["status"], line["address"]) for line in found} == {("INFO", 200, "127.0.0.1")}
    assert len(list(path.parent.glob("server.log.[0-9]*"))) > 1
