"""A server that speaks TLS itself, with certificates that the tests make."""

from __future__ import annotations

import asyncio
import gc
import socket
import ssl
import tracemalloc
from asyncio.sslproto import SSLProtocol
from contextlib import ExitStack, closing
from datetime import UTC, datetime, timedelta
from functools import partial
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit
from weakref import WeakSet

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.tls import ServerTLS
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.server.process.certificate_dates import end_of
from airflow_provider_sync.server.process.serving import serve
from airflow_provider_sync.server.process.tls import tls_context
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.certificates import DAY, Authority
from tests.server.process.running import running, shown_certificate, wait_until


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Have an authority."""
    return Authority(tmp_path)


def with_tls(folder: Path, limits: dict[str, object] | None = None, **tls: object) -> ServerConfig:
    """Return a configuration with TLS."""
    options = {name: str(value) for name, value in tls.items()}
    return ServerConfig.from_dict({"tls": options, "directories": {"d": {"path": str(folder)}}, "limits": limits or {}})


def test_a_server_over_tls(tmp_path: Path, authority: Authority) -> None:
    """Clients that know the authority are answered at an https URL; other clients are not."""
    with RunningServer(with_tls(tmp_path, certificate=authority.sign("server"))) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert shown_certificate(server.url, authority.path)
        other = Authority(tmp_path, "other")
        with pytest.raises(ssl.SSLCertVerificationError):
            shown_certificate(server.url, other.path)
        with closing(socket.create_connection(address(server.url), timeout=60)) as plain:
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP" not in received(plain)


def test_clients_need_a_certificate(tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """With ``client_authorities``, only clients with a valid certificate are answered; the log names others with the reason."""
    config = with_tls(tmp_path, certificate=authority.sign("server"), client_authorities=authority.path)
    with RunningServer(config) as server:
        assert shown_certificate(server.url, authority.path, authority.sign("client"))
        for wrong, reason in (
            (None, "peer did not return a certificate"),
            (Authority(tmp_path, "other").sign("stranger"), "unable to get local issuer certificate"),
            (authority.sign("ended", ends_in=-DAY), "certificate has expired"),
        ):
            with pytest.raises((OSError, EOFError)):
                shown_certificate(server.url, authority.path, wrong)
            wait_until(partial(_logged, caplog, f"127.0.0.1: no TLS connection: {reason}"))


def _logged(caplog: pytest.LogCaptureFixture, line: str) -> bool:
    return line in caplog.text


def test_connections_that_never_speak(tmp_path: Path, authority: Authority) -> None:
    """Connections that never begin TLS keep no client out, and are closed after ``head_seconds``."""
    limits = {"connections": 10, "connections_per_address": 5, "head_seconds": 2}
    with RunningServer(with_tls(tmp_path, limits, certificate=authority.sign("server"))) as server, ExitStack() as stack:
        idle = [stack.enter_context(closing(socket.create_connection(address(server.url), timeout=60))) for _ in range(64)]
        assert shown_certificate(server.url, authority.path)
        assert {received(connection) for connection in idle} == {b""}


def test_connections_that_never_speak_take_little_memory(tmp_path: Path, authority: Authority) -> None:
    """A silent connection takes a fraction of asyncio's 256 KiB."""
    with RunningServer(with_tls(tmp_path, certificate=authority.sign("server"))) as server, ExitStack() as stack:
        assert shown_certificate(server.url, authority.path)
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        for _ in range(60):
            stack.enter_context(closing(socket.create_connection(address(server.url), timeout=60)))
        assert shown_certificate(server.url, authority.path)  # behind all of them
        assert tracemalloc.get_traced_memory()[0] < 60 * 80_000


def test_handshakes_that_end_leave_nothing(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of an incomplete handshake is freed at its end, without waiting for garbage collection."""
    made = WeakSet[SSLProtocol]()
    count = 0
    original = SSLProtocol.connection_made

    def connection_made(self: SSLProtocol, transport: asyncio.BaseTransport) -> None:
        nonlocal count
        made.add(self)
        count += 1
        original(self, transport)

    monkeypatch.setattr(SSLProtocol, "connection_made", connection_made)
    gc.disable()
    try:
        with RunningServer(with_tls(tmp_path, certificate=authority.sign("server"))) as server:
            for number, start in enumerate((b"", b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n\r\n"), 1):
                with ExitStack() as stack:
                    for _ in range(10):
                        connection = stack.enter_context(closing(socket.create_connection(address(server.url), timeout=60)))
                        connection.sendall(start)
                    wait_until(lambda expected=10 * number: count == expected)
                wait_until(lambda: not made)
    finally:
        gc.enable()


def test_a_renewed_certificate(tmp_path: Path, authority: Authority) -> None:
    """A renewed certificate is used without a restart, a truncated one is not; each is logged in one line."""
    path = authority.sign("server")
    with running(tmp_path, tls={"certificate": str(path)}, directories={"d": {"path": str(tmp_path)}}) as server:
        first = shown_certificate(server.url, authority.path)
        authority.sign("server")
        wait_until(lambda: shown_certificate(server.url, authority.path) != first)
        second = shown_certificate(server.url, authority.path)
        path.write_text("torn")
        wait_until(lambda: "The certificate was not reloaded" in server.log)
        assert shown_certificate(server.url, authority.path) == second
        assert server.end() == 0
        assert server.log.count("The certificate was") == 2


def test_withdrawn_client_authorities(tmp_path: Path, authority: Authority) -> None:
    """If ``client_authorities`` changes, open connections are closed after their response, so that clients need another one."""
    clients = Authority(tmp_path, "clients")
    client, size = clients.sign("client"), 64 * 2**20
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "large").write_bytes(bytes(size))
    options = {"certificate": str(authority.sign("server")), "client_authorities": str(clients.path)}
    with (
        running(tmp_path, tls=options, directories={"d": {"path": str(tmp_path / "d")}}) as server,
        closing(connected(server.url, authority.path, client)) as idle,
        closing(connected(server.url, authority.path, client)) as reading,
    ):
        assert is_healthy(idle)
        reading.request("POST", "/getFiles", '{"config_name": "d", "files": ["large"]}', {"Content-Type": "application/json"})
        answer = reading.getresponse()
        began = answer.read(1000)
        clients.path.write_bytes(Authority(tmp_path, "others").path.read_bytes())
        wait_until(lambda: not is_answered(server.url, authority.path, client))
        assert not is_healthy(idle)
        assert (began + answer.read()).endswith(bytes(size))
        assert not is_healthy(reading)


def connected(url: str, authority: Path, certificate: Path) -> HTTPSConnection:
    """Return a connection with a client's certificate, which does not connect again by itself."""
    context = ssl.create_default_context(cafile=str(authority))
    context.load_cert_chain(certificate)
    connection = HTTPSConnection(urlsplit(url).netloc, context=context, timeout=60)
    connection.auto_open = 0
    connection.connect()
    return connection


def is_healthy(connection: HTTPSConnection) -> bool:
    """Tell whether a request over an open connection is answered."""
    try:
        connection.request("GET", "/health")
        return bool(connection.getresponse().read())
    except (OSError, HTTPException):
        return False


def is_answered(url: str, authority: Path, certificate: Path) -> bool:
    """Tell whether a new connection with a client's certificate is answered."""
    try:
        shown_certificate(url, authority, certificate)
    except (OSError, EOFError):
        return False
    return True


def test_a_certificate_that_has_ended(tmp_path: Path, authority: Authority) -> None:
    """A server with an expired certificate still serves, and clients refuse it."""
    config = with_tls(tmp_path, certificate=authority.sign("server", ends_in=-DAY))
    with RunningServer(config) as server, pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shown_certificate(server.url, authority.path)


def test_the_end_of_a_certificate(tmp_path: Path, authority: Authority) -> None:
    """The end of a certificate is read in both date formats, and a file without a certificate is refused."""
    for name, years in (("near", 1), ("far", 40)):
        ends_in = timedelta(days=365 * years)
        end = end_of(authority.sign(name, ends_in=ends_in).read_text())
        assert abs(end - datetime.now(UTC) - ends_in) < DAY
    whole = authority.path.read_text()
    for text in ("", "torn", whole[:100], whole[:80] + whole[-80:]):
        with pytest.raises(ValueError, match=r"."):
            end_of(text)


def test_files_that_cannot_be_used(tmp_path: Path, authority: Authority) -> None:
    """A missing, truncated, foreign or encrypted file, and a key that others can read, are refused with option and remedy."""
    good, other = authority.sign("good"), authority.sign("other")
    open_key = authority.sign("open")
    open_key.chmod(0o644)
    torn = tmp_path / "torn.pem"
    torn.write_text("torn")
    torn.chmod(0o600)
    for options, message in (
        ({"certificate": tmp_path / "none.pem"}, "tls.certificate: cannot read .*none.pem: No such file"),
        ({"certificate": good, "key": tmp_path / "none.pem"}, "tls.key: cannot read .*none.pem: No such file"),
        ({"certificate": torn}, "torn.pem: .* in PEM format"),
        ({"certificate": good, "key": other}, "good.pem and .*other.pem: .*mismatch"),
        ({"certificate": open_key}, "tls.key: every user .* chmod o= .*open.pem"),
        ({"certificate": authority.sign("closed", password=b"secret")}, "the key in .*closed.pem has a password"),
        ({"certificate": good, "client_authorities": torn}, "tls.client_authorities: .*torn.pem: .* in PEM format"),
        ({"certificate": good, "client_authorities": tmp_path / "none.pem"}, "tls.client_authorities: cannot read"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            tls_context(ServerTLS.from_dict({name: str(path) for name, path in options.items()}))
    with pytest.raises(ConfigurationError, match="chmod o="):
        serve(with_tls(tmp_path, certificate=open_key).model_copy(update={"workers": 2}), port=0)


def address(url: str) -> tuple[str, int]:
    """Return host and port of a URL."""
    parts = urlsplit(url)
    return str(parts.hostname), int(parts.port or 0)


def received(connection: socket.socket) -> bytes:
    """Return what arrives until the connection is closed."""
    content = b""
    try:
        while piece := connection.recv(4096):
            content += piece
    except ConnectionError:
        pass
    return content
