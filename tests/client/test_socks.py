"""Requests through a SOCKS proxy, which the environment names: its connections have the same limits as all others."""

from __future__ import annotations

import socketserver
import struct
from collections.abc import Iterator
from socket import create_connection, inet_ntoa, socket
from threading import Thread

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ProtocolError, TransportError
from tests.client.scripted_server import ScriptedServer, recorded
from tests.server_thread import serving

pytest.importorskip("socks")

_ADDRESS, _NAME = 1, 3


@pytest.fixture(params=["socks5", "socks5h"])
def proxy(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Name a proxy in the environment, and give the hosts that it was asked for, in their order."""
    hosts: list[str] = []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            self.rfile.read(self.rfile.read(2)[1])
            self.wfile.write(b"\x05\x00")
            kind = self.rfile.read(4)[3]
            host = inet_ntoa(self.rfile.read(4)) if kind == _ADDRESS else self.rfile.read(self.rfile.read(1)[0]).decode()
            (port,) = struct.unpack(">H", self.rfile.read(2))
            hosts.append(host)
            with create_connection((host, port)) as server:
                self.wfile.write(b"\x05\x00\x00\x01" + bytes(6))
                back = Thread(target=_pass_on, args=(server, self.connection), daemon=True)
                back.start()
                _pass_on(self.connection, server)
                back.join()

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with serving(server):
        monkeypatch.setenv("ALL_PROXY", f"{request.param}://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setenv("NO_PROXY", "")
        yield hosts


def _pass_on(source: socket, target: socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(1)
    except OSError:
        return  # one of both has closed


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX-Name: ", b"a", id="a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0", id="size of a chunk"),
    ],
)
def test_an_answer_that_never_ends_is_given_up(proxy: list[str], server: ScriptedServer, start: bytes, piece: bytes) -> None:
    """A server behind a SOCKS proxy cannot keep the client for ever by sending useless bytes."""

    def answer(connection: socket) -> None:
        connection.sendall(start)
        while not server.released.wait(0.02):
            connection.sendall(piece)

    server.answer(answer)
    with SyncClient(server.url, retries=0, timeout=0.2) as client, pytest.raises((TransportError, ProtocolError)):
        client.capabilities()
    assert proxy == ["127.0.0.1"]


def test_a_head_without_end_is_refused(proxy: list[str], server: ScriptedServer) -> None:
    """A server behind a SOCKS proxy cannot fill the client's memory with interim answers."""

    def answer(connection: socket) -> None:
        while not server.released.is_set():
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1_000)

    server.answer(answer)
    with SyncClient(server.url, retries=0, timeout=60) as client, pytest.raises(ProtocolError, match="begins with more than"):
        client.capabilities()
    assert proxy == ["127.0.0.1"]


def test_an_answer_arrives(proxy: list[str], server: ScriptedServer) -> None:
    """Requests through a SOCKS proxy are answered, also the second one of a client."""
    server.answer(recorded("hash_ok"))
    with SyncClient(server.url, retries=0, timeout=60) as client:
        assert client.get_table_hash("orders") == client.get_table_hash("orders")
    assert proxy == ["127.0.0.1", "127.0.0.1"]
