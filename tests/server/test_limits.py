"""What one client may take: places, time, and the source's transactions."""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from pathlib import Path
from socket import create_connection, socket
from threading import Event
from typing import BinaryIO
from urllib.parse import urlsplit

import msgspec
import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.protocol.v2.file_messages import DigestFiles
from airflow_provider_sync.protocol.v2.messages import DescribeTable, DescribeTables, GetRows, RequestedSlice
from airflow_provider_sync.server import active_requests, body_budget
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.running import wait_until
from tests.server.tables.table_locks import locked, waiting
from tests.server.test_streaming import change_alone, fill
from tests.server.wire import ask, config, open_stream, own_lines, post, read_all, run_sqlite

T = GetRows(table_slice=RequestedSlice(name="t"))
WAITING = ("mariadb", "mysql", "postgresql")
"""Engines on which a reader can wait for a lock."""


@pytest.fixture
def large_url(database_url: str) -> str:
    """Have a table of 16 MB."""
    fill(database_url)
    return database_url


@pytest.mark.parametrize("count", [3, pytest.param(45, marks=pytest.mark.slow)])
def test_clients_that_do_not_read(large_url: str, count: int, caplog: pytest.LogCaptureFixture) -> None:
    """Streams of stalled clients are cut: transactions end, places are free, and the log says why."""
    limits = {"stall_seconds": 0.3, "min_bytes_per_second": 10_000_000, "requests": count}
    requests = [("/getTable", [("config_name", "t")]), *[("/getRows", T)] * (count - 1)]
    with RunningServer(config(large_url, tables={"t": {}}, limits=limits)) as server, ExitStack() as held:
        for path, fields in requests:
            stream = held.enter_context(closing(open_stream(server.url, path, fields)))
            assert stream.recv(12) == b"HTTP/1.1 200"
        change_alone(large_url)
        wait_until(lambda: len(own_lines(caplog)) >= count)
        # Not for rows: a busy machine takes them too slowly, too.
        wait_until(lambda: ask(server.url, "/describeTable", DescribeTable(table_slice=T.table_slice)).status == 200)
    assert all("Table 't' ended early: The client took nothing for 0.3 seconds" in line for line in own_lines(caplog))
    assert "Traceback" not in caplog.text


def test_the_age_of_a_stream(large_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A stream ends at its maximum age, even if its client reads slowly."""
    with RunningServer(config(large_url, tables={"t": {}}, limits={"max_stream_seconds": 2})) as server:
        for path, request in (("/getRows", T), ("/getTable", [("config_name", "t")])):
            with closing(open_stream(server.url, path, request)) as stream:
                assert is_cut_while_reading(stream, caplog)
            change_alone(large_url)
    assert caplog.text.count("limits.max_stream_seconds") == 2
    assert "Traceback" not in caplog.text


def is_cut_while_reading(stream: socket, caplog: pytest.LogCaptureFixture) -> bool:
    """Read a few bytes at a time, much slower than they come, until the server ends the stream; then what is on its way."""
    cuts = len(own_lines(caplog))
    received = bytearray()
    try:
        while block := stream.recv(4 if len(own_lines(caplog)) == cuts else 65536):
            received += block
    except ConnectionResetError:
        return True
    return not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("engine", WAITING)
def test_the_age_of_a_request(request: pytest.FixtureRequest, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """A request that waits for a locked table ends at its maximum age, in both versions."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url, 1000)
    with RunningServer(config(url, tables={"t": {}}, limits={"max_stream_seconds": 0.5})) as server, locked(url):
        for path in ("/getTable", "/getTableHash"):
            answer = post(server.url, path, {"config_name": "t", "hash": "x"})
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert b"limits.max_stream_seconds" in answer.body
        answer = ask(server.url, "/describeTable", DescribeTable(table_slice=T.table_slice))
        assert answer.status == 503
        assert b"limits.max_stream_seconds" in answer.body
        assert waiting(url) == 0
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("engine", WAITING)
def test_a_client_that_goes_away_while_the_source_waits(
    request: pytest.FixtureRequest, engine: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After its client disconnected, a request stops waiting, and no log calls that an error."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url, 1000)
    caplog.set_level(logging.DEBUG, "airflow_provider_sync")
    requests: list[tuple[str, list[tuple[str, str]] | msgspec.Struct]] = [
        ("/getTable", [("config_name", "t"), ("hash", "x")]),
        ("/getTableHash", [("config_name", "t")]),
        ("/describeTable", DescribeTable(table_slice=T.table_slice)),
        ("/getRows", T),
    ]
    with RunningServer(config(url, tables={"t": {}})) as server, locked(url):
        for path, fields in requests:
            with closing(open_stream(server.url, path, fields)):
                wait_until(lambda: waiting(url))
            wait_until(lambda: not waiting(url))
    assert caplog.text.count("the client disconnected") == len(requests)
    assert caplog.text.count("complete=false") == len(requests)
    assert " error=" not in caplog.text
    assert "Traceback" not in caplog.text
    assert own_lines(caplog) == []


class EndlessHasher:
    """Reads the beginning of a file over and over."""

    name = "endless"

    def hash(self, file: BinaryIO) -> str:
        """Never end by itself."""
        while True:
            reading.set()
            file.seek(0)
            file.read(10)


reading = Event()


def test_a_client_that_goes_away_while_files_are_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """After the client disconnected, no more of a file is read."""
    (tmp_path / "large").write_bytes(bytes(1 << 20))
    reading.clear()
    directory = {"path": str(tmp_path), "hasher": f"{__name__}.EndlessHasher"}
    with RunningServer(config(directories={"d": directory}, limits={"requests": 1})) as server:
        with closing(open_stream(server.url, "/getFileHashes", [("config_name", "d")])):
            assert reading.wait(60)
        fields = [("config_name", "d"), ("files[0]", "large")]
        wait_until(lambda: post(server.url, "/getFiles", fields).status != 503)
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("engine", WAITING)
def test_places(request: pytest.FixtureRequest, engine: str, caplog: pytest.LogCaptureFixture) -> None:
    """If waiting requests take all places, a further one gets 503, and other endpoints answer."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url, 1000)
    with RunningServer(config(url, tables={"t": {}}, limits={"requests": 3})) as server, ExitStack() as held:
        with locked(url):
            streams = [held.enter_context(closing(open_stream(server.url, "/getRows", T, version="1.0"))) for _ in range(3)]
            wait_until(lambda: waiting(url) >= 3)
            answer = ask(server.url, "/getRows", T)
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
            assert b"limits.requests" in answer.body
            assert ask(server.url, "/capabilities", b"").status == 405
        # They got what they waited for.
        assert all(read_all(stream).startswith(b"HTTP/1.1 200") for stream in streams)
    assert "limits.requests" in caplog.text


def test_one_database_at_a_time(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``limits.scans`` limits the requests that read a database; others wait for a place, then get 503."""
    fill(sqlite_url)
    # Otherwise the answer is read ahead, and its place is soon free.
    run_sqlite(Path(sqlite_url.removeprefix("sqlite:///")), "PRAGMA journal_mode = WAL")
    monkeypatch.setattr(active_requests, "SCAN_WAIT_SECONDS", 0.1)
    tables, other = {"t": {}, "other": {"table": "t"}}, RequestedSlice(name="other")
    directories = {"d": {"path": str(tmp_path)}}
    with RunningServer(config(sqlite_url, tables=tables, directories=directories, limits={"scans": 1})) as server:
        with closing(open_stream(server.url, "/getRows", T)) as stream:
            assert stream.recv(12) == b"HTTP/1.1 200"
            for answer in (
                post(server.url, "/getTable", {"config_name": "other"}),
                ask(server.url, "/describeTable", DescribeTable(table_slice=other)),
                ask(server.url, "/describeTables", DescribeTables(table_slices=(other,), max_rows=10)),
            ):
                assert (answer.status, answer.headers["retry-after"]) == (503, "5")
                assert b"limits.scans" in answer.body
            assert post(server.url, "/getFileHashes", {"config_name": "d"}).status == 200
        monkeypatch.setattr(active_requests, "SCAN_WAIT_SECONDS", 60)
        assert post(server.url, "/getTable", {"config_name": "other"}).status == 200


def test_large_bodies_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Bodies above a megabyte have a common limit; small ones are always read, and their memory is freed."""
    monkeypatch.setattr(body_budget, "MAX_BYTES", 5 << 20)
    counted = _counted_bytes(monkeypatch)
    large = msgspec.json.encode(DigestFiles(directory="d", paths=("x" * 200,) * 15_000))
    with RunningServer(config(directories={"d": {"path": str(tmp_path)}})) as server:
        address = urlsplit(server.url)
        head = f"POST /digestFiles HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: {len(large)}\r\n\r\n"
        with create_connection((address.hostname, address.port), timeout=60) as first:
            # All but the end, so that the server holds it and waits.
            first.sendall(head.encode() + large[:-1])
            wait_until(lambda: sum(counted) == len(large) - 1)
            answer = ask(server.url, "/digestFiles", large)
            assert (answer.status, answer.headers["retry-after"], answer.headers["connection"]) == (503, "5", "close")
            assert b"5242880 bytes" in answer.body
            assert ask(server.url, "/digestFiles", DigestFiles(directory="d", paths=("y",))).status == 200
            first.sendall(large[-1:])
            assert first.recv(12) == b"HTTP/1.1 200"
        wait_until(lambda: ask(server.url, "/digestFiles", large).status == 200)
    assert "works on requests of" in caplog.text


def _counted_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list to which servers of this process add each number of bytes that they count."""
    counted: list[int] = []
    take = body_budget.BodyBudget.take

    def noting(budget: body_budget.BodyBudget, size: int) -> None:
        take(budget, size)
        counted.append(size)

    monkeypatch.setattr(body_budget.BodyBudget, "take", noting)
    return counted


def test_more_places_than_threads(tmp_path: Path) -> None:
    """As many requests as places run at the same time, whatever number of threads others share."""
    (tmp_path / "large").write_bytes(bytes(16 << 20))
    files = [("config_name", "d"), ("files[0]", "large")]
    with RunningServer(config(directories={"d": {"path": str(tmp_path)}})) as server, ExitStack() as held:
        streams = [held.enter_context(closing(open_stream(server.url, "/getFiles", files))) for _ in range(63)]
        assert all(stream.recv(12) == b"HTTP/1.1 200" for stream in streams)
        assert post(server.url, "/getFiles", files).status == 200


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"requests": 0}, "limits.requests is 0. Give more than 0."),
        ({"stall_seconds": -1}, "limits.stall_seconds is -1"),
        ({"head_seconds": float("nan")}, "limits.head_seconds is nan"),
        ({"requests": "many"}, "limits.requests must be a whole number"),
        ({"reqests": 1}, "limits: there is no option 'reqests'"),
    ],
)
def test_bad_limits(limits: dict[str, object], message: str) -> None:
    """An invalid limit is refused by its name."""
    with pytest.raises(ConfigurationError, match=message):
        ServerConfig.from_dict({"limits": limits})
