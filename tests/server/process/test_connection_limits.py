"""Connections that ask for nothing, or very slowly: they keep nobody out, and end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_provider_sync.server.access.addresses import client_address
from airflow_provider_sync.server.process import connection_limits
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.running import wait_until
from tests.server.wire import config, open_stream, own_lines, post, read_all, send

LARGE = 8 << 20
FILES = [("config_name", "d"), ("files[0]", "large")]


@contextmanager
def serving(folder: Path, **limits: float) -> Iterator[str]:
    """Serve a directory with a file that is larger than the buffers of a socket."""
    (folder / "large").write_bytes(bytes(LARGE))
    with RunningServer(config(directories={"d": {"path": str(folder)}}, limits=limits)) as server:
        yield server.url


def connect(url: str, start: bytes = b"") -> socket.socket:
    """Open a connection and send the beginning of something."""
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname or "", parts.port or 80), timeout=30)
    with suppress(OSError):
        connection.sendall(start)
    return connection


def is_closed(connection: socket.socket, *, sending: bytes = b"") -> bool:
    """Wait until the server closes a connection, sending a little all the while."""
    connection.settimeout(0.02 if sending else 30)
    for _ in range(1500):
        try:
            if not connection.recv(65536):
                return True
            connection.sendall(sending)
        except TimeoutError:
            if not sending:
                return False
            with suppress(OSError):
                connection.sendall(sending)
        except OSError:
            return True
    return False


@pytest.mark.parametrize("start", [b"", b"POST /getFiles HTTP/1.1\r\nHost: localhost\r\nX: "], ids=["silent", "half a head"])
@pytest.mark.parametrize("count", [64, 200, pytest.param(1000, marks=pytest.mark.slow)])
def test_connections_that_ask_for_nothing(tmp_path: Path, start: bytes, count: int) -> None:
    """With any number of silent connections, requests are answered, and no answer is cut."""
    with serving(tmp_path) as url, ExitStack() as held:
        stream = held.enter_context(closing(open_stream(url, "/getFiles", FILES, version="1.0")))
        received = stream.recv(12)
        for _ in range(count):
            held.enter_context(closing(connect(url, start)))
        assert send(url, "GET", "/health").status == 200
        assert len(post(url, "/getFiles", FILES).body) > LARGE
        received += read_all(stream)
        assert received.startswith(b"HTTP/1.1 200")
        assert len(received) > LARGE


def test_the_oldest_of_an_address_goes(tmp_path: Path) -> None:
    """An address has a limited number of connections without a token; the oldest is closed for each new one."""
    with serving(tmp_path, connections_per_address=2) as url, ExitStack() as held:
        first, *others = [held.enter_context(closing(connect(url))) for _ in range(3)]
        assert is_closed(first)
        for connection in others:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert read_all(connection).startswith(b"HTTP/1.1 200")


def test_many_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simultaneous clients behind one address, more than it may have without a token, are all answered."""
    # A busy machine takes longer to answer them all.
    monkeypatch.setattr(connection_limits, "YOUNG_SECONDS", 60.0)

    async def ask(host: str, port: int) -> bytes:
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"GET /capabilities HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        return answer

    async def ask_all(url: str) -> list[bytes]:
        parts = urlsplit(url)
        return await asyncio.gather(*(ask(parts.hostname or "", parts.port or 80) for _ in range(100)))

    with serving(tmp_path, connections_per_address=2, requests=100) as url:
        answers = asyncio.run(ask_all(url))
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def test_room_for_those_who_may_be_here(tmp_path: Path) -> None:
    """A connection with a token is not closed for one without; if all are busy, a further one is told so."""
    with serving(tmp_path, connections=2) as url, ExitStack() as held:
        streams = []
        for _ in range(2):
            streams.append(held.enter_context(closing(open_stream(url, "/getFiles", FILES, version="1.0"))))
            assert streams[-1].recv(12) == b"HTTP/1.1 200"
        with closing(connect(url)) as one_more:
            answer = read_all(one_more)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"Retry-After: 5" in answer
        assert b"limits.connections" in answer
        assert all(len(read_all(stream)) > LARGE for stream in streams)


def test_idle_connections_make_room(tmp_path: Path) -> None:
    """If all connections have shown a token, one that is idle between two requests is closed."""
    request = b"GET /capabilities HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(tmp_path, connections=2) as url, ExitStack() as held:
        idle = [held.enter_context(closing(connect(url, request))) for _ in range(2)]
        assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in idle)
        assert send(url, "GET", "/health").status == 200
        assert is_closed(idle[0])


SLOW: Mapping[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "a line at a time": (b"GET /health HTTP/1.1\r\n", b"X: y\r\n"),
    "a byte at a time": (b"", b"G"),
    "behind an answer": (b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n", b"G"),
    "a body that nobody reads": (b"POST /nope HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", b"x"),
    "chunks that nobody reads": (b"POST /nope HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_heads(tmp_path: Path, kind: str) -> None:
    """If the head of a request does not arrive in time, the connection is closed."""
    start, then = SLOW[kind]
    with serving(tmp_path, head_seconds=0.2) as url, closing(connect(url, start)) as connection:
        assert is_closed(connection, sending=then)


def test_idle_seconds(tmp_path: Path) -> None:
    """A connection that is idle after an answer is closed after its time."""
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with serving(tmp_path, idle_seconds=0.1) as url, closing(connect(url, request)) as connection:
        assert read_all(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "head", ["Content-Length: 100", "Transfer-Encoding: chunked", "Content-Length: 100\r\nExpect: 100-continue"], ids=str
)
def test_slow_bodies(tmp_path: Path, head: str) -> None:
    """A body that stalls, or arrives byte by byte, is refused, and its place is free again."""
    start = f"POST /getFiles HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode()
    byte = b"1\r\nx\r\n" if "chunked" in head else b"x"
    with serving(tmp_path, stall_seconds=0.2, min_bytes_per_second=1000, requests=2) as url:
        for sending in (b"", byte):
            with closing(connect(url, start)) as connection:
                assert receives(connection, b"HTTP/1.1 408 ", sending=sending)
            # A busy machine may be slow with this body, too.
            wait_until(lambda: post(url, "/getFileHashes", {"config_name": "d"}).status == 200)


def receives(connection: socket.socket, wanted: bytes, *, sending: bytes) -> bool:
    """Whether something comes, while a little is sent all the time."""
    connection.settimeout(0.02)
    received = b""
    for _ in range(1500):
        with suppress(TimeoutError):
            block = connection.recv(65536)
            received += block
            if wanted in received or not block:
                break
        with suppress(OSError):
            connection.sendall(sending)
    return wanted in received


BODY = b"config_name=d"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
POST = b"POST /getFileHashes HTTP/1.1\r\nHost: localhost\r\n" + FORM

ODD: Mapping[str, tuple[bytes, bytes]] = {
    "length and chunks": (
        POST + b"Content-Length: 13\r\nTransfer-Encoding: chunked\r\n\r\nd\r\nconfig_name=d\r\n0\r\n\r\n",
        b"400",
    ),
    "chunks and length": (
        POST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nd\r\nconfig_name=d\r\n0\r\n\r\n",
        b"400",
    ),
    "chunks of HTTP/1.0": (
        POST.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\nd\r\nconfig_name=d\r\n0\r\n\r\n",
        b"400",
    ),
    "two lengths": (POST + b"Content-Length: 13\r\nContent-Length: 14\r\n\r\n" + BODY, b"400"),
    "a negative length": (POST + b"Content-Length: -13\r\n\r\n" + BODY, b"400"),
    "a length of letters": (POST + b"Content-Length: 1e3\r\n\r\n" + BODY, b"400"),
    "an unknown coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n" + BODY, b"400"),
    "a negative chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n-5\r\nconfig_name=d\r\n0\r\n\r\n", b"400"),
    "no host": (b"POST /getFileHashes HTTP/1.1\r\nContent-Length: 0\r\n\r\n", b"400"),
    "a huge head": (POST + b"X: " + b"x" * (1 << 20) + b"\r\n\r\n", b"400"),
    "many headers": (POST + b"X: y\r\n" * 100_000 + b"\r\n", b"400"),
    "a line break in a name": (POST + b"X\n: y\r\n\r\n", b"400"),
    "not HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(50), b"400"),
    "an unknown method": (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    "an upgrade": (POST + b"Connection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 13\r\n\r\n" + BODY, b"200"),
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_requests(tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A malformed request is refused without a traceback, and the next one is answered."""
    request, status = ODD[kind]
    with serving(tmp_path, head_seconds=2, idle_seconds=0.1) as url:
        with closing(connect(url, request)) as connection:
            received = bytearray()
            with suppress(ConnectionResetError):
                while block := connection.recv(65536):
                    received += block
        # Where more was sent than was read, the answer may be lost on its way.
        assert received.startswith(b"HTTP/1.1 " + status) or (not received and len(request) > 100_000)
        assert received.count(b"HTTP/1.1 ") <= 1
        assert send(url, "GET", "/health").status == 200
    assert "Traceback" not in caplog.text


def test_a_broken_chunk_behind_an_answer(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Malformed data after an answer has begun ends the connection."""
    with serving(tmp_path) as url:
        for body in (b"-5\r\n", b"ffffffffffffffffffffff\r\n", b"1;" + b"x" * 70_000):
            head = b"POST /nope HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            with closing(connect(url, head)) as connection:
                assert connection.recv(12) == b"HTTP/1.1 404"
                with suppress(OSError):
                    connection.sendall(body)
                assert is_closed(connection)
    assert "Traceback" not in caplog.text


def test_malformed_behind_a_request_at_work(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Malformed data after an unanswered request ends the connection without a traceback."""
    request = b"GET /capabilities HTTP/1.1\r\nHost: localhost\r\n\r\n"
    chunked = POST + b"Transfer-Encoding: chunked\r\n\r\nd\r\nconfig_name=d\r\nnothing\r\n"
    with serving(tmp_path) as url:
        unread = chunked.replace(b"getFileHashes", b"nope")
        for odd in (request + b"\0\r\n\r\n", chunked, request + chunked, chunked + request, unread):
            for cut in (len(odd), len(odd) - 9):
                with closing(connect(url, odd[:cut])) as connection:
                    with suppress(OSError):
                        connection.sendall(odd[cut:])
                    assert is_closed(connection)
        assert send(url, "GET", "/health").status == 200
    assert "Traceback" not in caplog.text


def test_pipelined_requests(tmp_path: Path) -> None:
    """Pipelined requests are answered in order."""
    request = POST + b"Content-Length: 13\r\n\r\n" + BODY
    with serving(tmp_path, idle_seconds=0.1) as url, closing(connect(url, request * 10)) as connection:
        assert read_all(connection).count(b"HTTP/1.1 200") == 10


@pytest.mark.parametrize("path", ["/health", "/ready", "/capabilities"])
def test_pipelined_requests_without_a_token(caplog: pytest.LogCaptureFixture, path: str) -> None:
    """Pipelined requests without a token get at most one answer."""
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n".encode()
    with RunningServer(config(tokens=["the-token"], limits={"idle_seconds": 0.1})) as server:
        with closing(connect(server.url, (request + b"\r\n") * 1000)) as connection:
            received = bytearray()
            with suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    received += piece
            assert received.count(b"HTTP/1.1 ") <= 1
        with closing(connect(server.url, (request + b"Authorization: Bearer the-token\r\n\r\n") * 10)) as connection:
            assert read_all(connection).count(b"HTTP/1.1 ") == (1 if path == "/health" else 10)
    assert [line for line in own_lines(caplog) if "before it had an answer" in line] == [
        "127.0.0.1 sent more requests without a token, before it had an answer"
    ]


def test_half_closed_connections(tmp_path: Path) -> None:
    """A client that has closed its half of the connection counts as gone, and takes no place."""
    with serving(tmp_path, requests=1) as url:
        for _ in range(3):
            with closing(open_stream(url, "/getFiles", FILES)) as stream:
                stream.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    read_all(stream)
        wait_until(lambda: post(url, "/getFileHashes", {"config_name": "d"}).status != 503)


def test_a_flood_is_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Events that any client can cause as often as it likes do not fill the log."""
    with serving(tmp_path, connections_per_address=2) as url, ExitStack() as held:
        idle = [held.enter_context(closing(connect(url))) for _ in range(20)]
        assert all(is_closed(connection) for connection in idle[:-2])
        for _ in range(20):
            with closing(connect(url, b"\0\r\n\r\n")) as connection:
                assert is_closed(connection)
    lines = own_lines(caplog)
    assert len(lines) == 2
    assert "limits.connections_per_address" in lines[0]
    assert "127.0.0.1 sent something that is not HTTP" in lines[1]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("", "unknown"),
        (None, "unknown"),
        ("testclient\n", "unknown"),
    ],
)
def test_addresses(host: Any, address: str) -> None:
    """An IPv6 network counts as one address."""
    assert client_address(host) == address


@pytest.mark.parametrize("chunk", [b"1\r\n \r\n", b"1;extension=1\r\n \r\n"], ids=["plain", "extensions"])
@pytest.mark.parametrize("token", [b"", b"Authorization: Bearer secret\r\n"], ids=["no token", "token"])
def test_tiny_chunks(tmp_path: Path, token: bytes, chunk: bytes) -> None:
    """A body in thousands of tiny chunks is refused after the first hundred, because reading all would delay others."""
    head = b"POST /getFiles HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n" + token + b"\r\n"
    with RunningServer(config(tokens=["secret"], directories={"d": {"path": str(tmp_path)}})) as server:
        with closing(connect(server.url, head + chunk * 2_000)) as connection:
            assert read_all(connection).startswith(b"HTTP/1.1 400 ")
        body = b"40\r\n" + b"x" * 64 + b"\r\n"
        with closing(connect(server.url, head + body * 2_000 + b"0\r\n\r\n")) as connection:
            assert connection.recv(12) == (b"HTTP/1.1 422" if token else b"HTTP/1.1 401")


def test_tiny_chunks_after_the_answer(tmp_path: Path) -> None:
    """A connection that keeps sending tiny chunks after it was refused is closed."""
    head = b"POST /getFiles HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with (
        RunningServer(
            config(tokens=["secret"], directories={"d": {"path": str(tmp_path)}}, limits={"head_seconds": 60})
        ) as server,
        closing(connect(server.url, head)) as connection,
    ):
        assert connection.recv(12) == b"HTTP/1.1 401"
        assert is_closed(connection, sending=b"1\r\n \r\n" * 50)
