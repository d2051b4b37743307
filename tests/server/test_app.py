"""The application around the endpoints: paths, methods, limits, and faults."""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.gzip import GZipMiddleware
from starlette.testclient import TestClient

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.app import MAX_KEYS_BYTES, MAX_REQUEST_BYTES, create_app
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import FORM, config, own_lines, post, run_sqlite, send

FIELDS = {"config_name": "t", "files[0]": "a"}


@pytest.fixture
def settings(tmp_path: Path) -> ServerConfig:
    """Offer a table and a directory."""
    rows = ",".join(f"({number}, 'name {number}')" for number in range(1000))
    run_sqlite(tmp_path / "source.db", f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES {rows};")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_bytes(b"a" * 10_000)
    return config(
        f"sqlite:///{tmp_path / 'source.db'}",
        tables={"t": {}, "failing": {"table": "t", "hasher": "tests.server.tables.hashers.FailingHasher"}},
        directories={"t": {"path": str(tmp_path / "files")}},
    )


@pytest.fixture
def url(settings: ServerConfig) -> Iterator[str]:
    """Serve the settings."""
    with RunningServer(settings) as server:
        yield server.url


@pytest.mark.parametrize("prefix", ["", "/", "api", "/api/sync", "api/sync/"])
def test_prefix(settings: ServerConfig, prefix: str) -> None:
    """Clients use a base URL, at the root or below any prefix."""
    with RunningServer(settings, prefix=prefix) as server:
        assert not server.url.endswith("/")
        assert post(server.url, "/getTableHash", FIELDS).status == 200
        assert send(server.url, "GET", "/health").status == 200
        assert send(server.url.removesuffix("/api/sync").removesuffix("/api"), "GET", "/health").status == 200


@pytest.mark.parametrize("path", ["/", "/getTable/", "/gettable", "/docs", "/openapi.json", "/redoc", "/capabilities/"])
def test_unknown_paths(url: str, path: str) -> None:
    """Other paths than the endpoints do not exist, without a redirect."""
    for method in ("GET", "POST"):
        answer = send(url, method, path)
        assert answer.status == 404
        assert json.loads(answer.body) == {"message": f"The route {path.lstrip('/')} could not be found."}


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize(
    "path", ["/getTableHash", "/getTable", "/getFileHashes", "/getFiles", "/describeTable", "/digestRows", "/getRows"]
)
def test_methods(url: str, method: str, path: str) -> None:
    """Only POST is allowed."""
    answer = send(url, method, path)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    message = f"The {method} method is not supported for route {path[1:]}. Supported methods: POST."
    assert answer.body == (b"" if method == "HEAD" else json.dumps({"message": message}, indent=4).encode())


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_capabilities_are_read(url: str, method: str) -> None:
    """Capabilities are requested by GET."""
    answer = send(url, method, "/capabilities")
    assert (answer.status, sorted(answer.headers["allow"].split(", "))) == (405, ["GET", "HEAD"])


def test_health(url: str) -> None:
    """``/health`` answers, whatever the state of the databases is."""
    answer = send(url, "GET", "/health")
    assert (answer.status, answer.body) == (200, b'{"status":"ok"}')


def test_large_requests(url: str) -> None:
    """A request above the limit is refused, and one at the limit is read."""
    padding = b"config_name=t&padding="
    largest = padding + b"x" * (MAX_REQUEST_BYTES - len(padding))
    assert send(url, "POST", "/getTableHash", body=largest, headers={"Content-Type": FORM}).status == 200
    answer = send(url, "POST", "/getTableHash", body=largest + b"x", headers={"Content-Type": FORM})
    assert answer.status == 413
    assert json.loads(answer.body) == {"message": "The request is larger than 8388608 bytes. Ask for fewer files at once."}


def test_large_requests_of_version_2(url: str) -> None:
    """A request of version 2 has at most the allowed number of keys."""
    start, end = b'{"table_slice":{"name":"t"},"keys":"', b'"}'
    largest = start + b"1" * (MAX_KEYS_BYTES - len(start) - len(end)) + end
    assert send(url, "POST", "/getRows", body=largest).status == 422
    answer = send(url, "POST", "/getRows", body=largest + b" ")
    assert answer.status == 413
    assert json.loads(answer.body) == {"message": "The request is larger than 33554432 bytes. Ask for fewer keys at once."}


def test_unforeseen_faults(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A bug is answered without its reason, which is in the log."""
    for path in ("/getTableHash", "/getTable"):
        answer = post(url, path, {"config_name": "failing", "hash": "x"})
        assert (answer.status, answer.body) == (500, b'{\n    "message": "Server Error"\n}')
    assert "hunter2" in caplog.text
    assert post(url, "/getTableHash", FIELDS).status == 200


@pytest.mark.parametrize(
    "connection", ["postgresql://someone:hunter2@127.0.0.1:1/shop", "mysql+pymysql://someone:hunter2@127.0.0.1:1/shop"]
)
def test_sources_that_are_down(connection: str, caplog: pytest.LogCaptureFixture) -> None:
    """A server starts without its databases; a request for one is a transient error without secrets."""
    caplog.set_level(logging.DEBUG)
    with RunningServer(config(connection, tables={"t": {}})) as server:
        for path in ("/getTableHash", "/getTable"):
            answer = post(server.url, path, FIELDS)
            assert answer.status == 503
            assert "cannot reach its database" in json.loads(answer.body)["message"]
            assert b"someone" not in answer.body
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize("path", ["/getTable", "/getFiles", "/getRows"])
def test_mounted_where_answers_are_compressed(settings: ServerConfig, path: str) -> None:
    """In an application that compresses, streams pass unchanged below the prefix."""
    host = Starlette()
    host.add_middleware(GZipMiddleware, minimum_size=100)
    host.mount("/sync", create_app(settings, host_compresses=True))
    with TestClient(host) as client:
        fields: dict[str, Any] = {"json": {"table_slice": {"name": "t"}}} if path == "/getRows" else {"data": FIELDS}
        answer = client.post(f"/sync{path}", headers={"Accept-Encoding": "gzip"}, **fields)
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "identity"
        if path == "/getTable":
            assert zlib.decompress(answer.content, wbits=31).count(b"\n") == 1000
        elif path == "/getRows":
            assert zlib.decompress(answer.content, wbits=31).count(b"\n") >= 1000
        else:
            assert answer.content.endswith(b"a" * 10_000)
        assert client.post("/sync/nothing").json() == {"message": "The route sync/nothing could not be found."}


def test_where_a_directory_lies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Errors of files have the directory's name; only the log has its path."""
    places = {"lost": str(tmp_path / "gone"), "found": str(tmp_path)}
    with RunningServer(config(directories={name: {"path": path} for name, path in places.items()})) as server:
        lost = post(server.url, "/getFileHashes", {"config_name": "lost"})
        found = post(server.url, "/getFiles", {"config_name": "found", "files[0]": "a.txt"})
    assert lost.status == 500
    assert json.loads(lost.body)["message"].startswith("Cannot read the directory 'lost': No such file or directory.")
    assert found.status == 404
    assert json.loads(found.body)["files"][0].startswith("Cannot read 'a.txt' in 'found': No such file or directory.")
    for (name, path), line in zip(places.items(), own_lines(caplog), strict=True):
        assert line.endswith(f"{name!r} is {path}.")
