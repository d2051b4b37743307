"""How version 2 answers, whatever the table: compression, the order of messages, and errors before and in the middle."""

from __future__ import annotations

from threading import Event
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.databases.sqlite.digests import SQLiteDigests
from airflow_provider_sync.exceptions import ServerError, TableError, TransportError
from airflow_provider_sync.protocol.v2.messages import Described, DescribeTable, GetRows, Segments
from airflow_provider_sync.protocol.v2.stream import parse_media_type, read_messages
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.tables.served_tables import served
from tests.server.tables.version2_answers import LIMIT, T, describe, digests, messages, rows
from tests.server.wire import ask, config, open_stream, send


@pytest.mark.parametrize(
    ("accept", "compression"),
    [
        ("application/vnd.airflow-sync.v2; compression=zstd, application/vnd.airflow-sync.v2; compression=gzip", "zstd"),
        ("application/vnd.airflow-sync.v2; compression=gzip", "gzip"),
        ("*/*", "gzip"),
        (None, "gzip"),
    ],
)
def test_compression(refusing: str, accept: str | None, compression: str) -> None:
    """A stream has the requested compression and names it, and proxies must not change it."""
    for path in ("/describeTable", "/getRows"):
        body = msgspec.json.encode(GetRows(table_slice=T) if path == "/getRows" else DescribeTable(table_slice=T))
        answer = send(refusing, "POST", path, body=body, headers={"Accept": accept} if accept else {})
        assert answer.headers["content-type"] == f"application/vnd.airflow-sync.v2; compression={compression}"
        assert answer.headers["content-encoding"] == "identity"
        assert messages(answer)[1:] in ([], [Segments(numbers=(), counts=(), sums=())])


def test_no_state(url: str) -> None:
    """Another server process can continue what one began."""
    with served(url) as one, served(url) as other:
        described, segments = describe(one)
        found = digests(other, described.partitioning, segment_ranges=tuple((number, number) for number in segments))
        assert len(found) == len(rows(one, 3, keys="".join(f"{key}\n" for (key,) in found))) == 3


def test_description_comes_first(refusing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client has the description while the server still computes the digests."""
    received = Event()

    def wait_for_client(*_: object) -> dict[int, Any]:
        assert received.wait(60)
        return {}

    monkeypatch.setattr(SQLiteDigests, "digest_segments", wait_for_client)
    with open_stream(refusing, "/describeTable", DescribeTable(table_slice=T), version="1.0") as stream:
        answer = b""
        while b"\r\n\r\n" not in answer or not answer.partition(b"\r\n\r\n")[2]:
            answer += stream.recv(65536)
        received.set()
        while block := stream.recv(65536):
            answer += block
    first, *_ = read_messages([answer.partition(b"\r\n\r\n")[2]], "gzip", limit=LIMIT)
    assert isinstance(first, Described)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (TableError("Table 't' has a row that is too long."), 422, "Table 't' has a row that is too long"),
        (TransportError("no route to db.internal"), 503, "The server cannot reach its database or storage"),
        (OSError("the disk of db.internal failed"), 500, "its log has the reason"),
    ],
    ids=["table", "database", "unexpected"],
)
def test_error_in_the_middle(
    refusing: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception, status: int, words: str
) -> None:
    """A failure after the description ends the stream with the reason that the client may know."""

    def fail(*_: object) -> dict[int, Any]:
        raise error

    monkeypatch.setattr(SQLiteDigests, "digest_segments", fail)
    answer = ask(refusing, "/describeTable", DescribeTable(table_slice=T))
    assert answer.status == 200
    with pytest.raises(ServerError, match=words) as told:
        list(read_messages([answer.body], parse_media_type(answer.headers["content-type"]), limit=LIMIT))
    assert told.value.status == status
    assert "internal" not in str(told.value)
    assert f"Table 't' broke off: {error}" in caplog.text
    assert ("Traceback" in caplog.text) is (status == 500)


def test_sources_that_are_down() -> None:
    """A database that is down is a transient error."""
    settings = config("postgresql://someone:hunter2@127.0.0.1:1/shop", tables={"t": {}})
    with RunningServer(settings) as server:
        answer = ask(server.url, "/describeTable", DescribeTable(table_slice=T))
        assert answer.status == 503
        assert b"hunter2" not in answer.body
        assert send(server.url, "GET", "/capabilities").status == 200
