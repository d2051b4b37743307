"""Servers that send for ever, and nothing of use: every wait has an end, over plain HTTP and over TLS."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket

import pytest
import urllib3.util.connection
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_provider_sync.client import SyncClient, bounded_http
from airflow_provider_sync.exceptions import IncompleteStreamError, ProtocolError, ServerError, TransportError
from airflow_provider_sync.protocol.v2.messages import (
    Described,
    DescribeTable,
    DigestRows,
    GetRows,
    Message,
    RequestedSlice,
    RowDigests,
    Rows,
    Segments,
)
from airflow_provider_sync.protocol.v2.stream import media_type, write_messages
from tests.client.scripted_server import ScriptedServer, head, recorded, reply, scripted_server
from tests.client.test_table_streams import DESCRIBED, PARTITIONING
from tests.server.process.running import wait_until

_SLICE = RequestedSlice(name="orders")
_DESCRIBE = DescribeTable(table_slice=_SLICE)
_OK = recorded("hash_ok")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Give a server's TLS context for the loopback, and the bundle with which a client trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    bundle, secret = folder / "server.pem", folder / "key.pem"
    bundle.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle, secret)
    return context, bundle


@pytest.fixture(params=["http", "https"])
def tls(request: pytest.FixtureRequest, authority: tuple[ssl.SSLContext, Path]) -> ssl.SSLContext | None:
    """Give a server's TLS context, and none for plain HTTP."""
    return authority[0] if request.param == "https" else None


@pytest.fixture
def slow(tls: ssl.SSLContext | None, authority: tuple[ssl.SSLContext, Path]) -> Iterator[tuple[ScriptedServer, SyncClient]]:
    """Give a server, and a client that waits a fifth of a second for a piece, and a little longer for progress."""
    with (
        scripted_server(tls) as server,
        SyncClient(server.url, retries=0, timeout=0.2, max_silence=0.3, verify=str(authority[1])) as client,
    ):
        yield server, client


@pytest.fixture
def patient(tls: ssl.SSLContext | None, authority: tuple[ssl.SSLContext, Path]) -> Iterator[tuple[ScriptedServer, SyncClient]]:
    """Give a server, and a client that waits long for a piece, and a fraction of a second for progress."""
    with (
        scripted_server(tls) as server,
        SyncClient(server.url, retries=0, timeout=60, max_silence=0.3, verify=str(authority[1])) as client,
    ):
        yield server, client


def _forever(
    server: ScriptedServer, start: bytes, piece: bytes, *, pause: float = 0.02, sent: list[bytes] | None = None
) -> Callable[[socket], None]:
    """Answer with ``start``, then with ``piece`` again and again, until the test is over or the client goes away.

    :param sent: gets each piece that was sent
    """

    def answer(connection: socket) -> None:
        connection.sendall(start)
        while not server.released.wait(pause):
            connection.sendall(piece)
            if sent is not None:
                sent.append(piece)

    return answer


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _head(kind: str = "application/json") -> bytes:
    return head(200, {"Content-Type": kind, "Transfer-Encoding": "chunked"})


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n", id="interim answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x", id="a byte of a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n", id="header after header"),
        pytest.param(b"", b"H", id="a status line"),
        pytest.param(_head() + _chunk(b'{"hash": "x"}') + b"0\r\n", b"X-Trailer: value\r\n", id="trailers"),
        pytest.param(_head() + _chunk(b'{"hash": "x"}') + b"0\r\nX: ", b"x", id="a trailer"),
        pytest.param(_head() + b"5;", b"x", id="an extension of a chunk"),
        pytest.param(_head() + _chunk(b'{"hash": "x"'), _chunk(b" "), id="spaces"),
    ],
)
def test_an_answer_that_never_ends_is_given_up(slow: tuple[ScriptedServer, SyncClient], start: bytes, piece: bytes) -> None:
    """An endless slow answer, in any of its parts, is a transient error."""
    server, client = slow
    sent: list[bytes] = []
    server.answer(_forever(server, start, piece, sent=sent))
    with pytest.raises((TransportError, IncompleteStreamError)) as caught:
        client.get_table_hash("orders")
    assert caught.value.retryable
    assert len(sent) < 500


def test_capabilities_come_within_the_timeout(server: ScriptedServer) -> None:
    """Reading the capabilities ends after the timeout, however slowly they arrive."""
    server.answer(_forever(server, _head() + _chunk(b'{"protocol": 2'), _chunk(b" ")))
    expected = pytest.raises(TransportError, match=r"did not answer in time\. Raise the timeout")
    with SyncClient(server.url, retries=0, timeout=0.2) as client, expected:
        client.capabilities()


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        pytest.param(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, id="interim answers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: ", b"x" * 50_000, id="a header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", b"X-Header: value\r\n" * 1000, id="headers"),
        pytest.param(_head() + _chunk(b'{"hash": "x"}') + b"0\r\n", b"X-Trailer: value\r\n" * 1000, id="trailers"),
        pytest.param(_head() + _chunk(b'{"hash": "x"}') + b"0\r\nX: ", b"x" * 50_000, id="a trailer"),
        pytest.param(_head() + b"5;", b"x" * 50_000, id="an extension of a chunk"),
    ],
)
def test_a_head_without_end_is_refused(server: ScriptedServer, start: bytes, piece: bytes) -> None:
    """The size of an answer's head is limited, so that it cannot fill the memory."""
    server.answer(_forever(server, start, piece, pause=0))
    with SyncClient(server.url, retries=3, timeout=60) as client, pytest.raises((ProtocolError, TransportError)) as caught:
        client.get_table_hash("orders")
    assert "in time" not in str(caught.value)


_SIGNS_OF_LIFE: dict[str, tuple[Message, Callable[[SyncClient], object]]] = {
    "before the description": (Segments(numbers=(), counts=(), sums=()), lambda client: client.describe_table(_DESCRIBE)),
    "instead of digests": (Segments(numbers=(), counts=(), sums=()), lambda client: _read(client.describe_table(_DESCRIBE))),
    "instead of digests of rows": (
        RowDigests(count=0, keys=b"", digests=b""),
        lambda client: _read(
            client.digest_rows(DigestRows(table_slice=_SLICE, partitioning=PARTITIONING, segment_ranges=((0, 1),)))
        ),
    ),
    "instead of rows": (Rows(count=0, data=b""), lambda client: _read(client.get_rows(GetRows(table_slice=_SLICE)))),
}


def _read(answer: object) -> list[object]:
    with answer:  # type: ignore[attr-defined]
        return list(answer)  # type: ignore[call-overload]


def _signs_of_life(server: ScriptedServer, first: Described | None, sign: Message) -> Callable[[socket], None]:
    def messages() -> Iterator[Message]:
        if first is not None:
            yield first
        while not server.released.wait(0.02):
            yield sign

    def answer(connection: socket) -> None:
        connection.sendall(_head(media_type("zstd")))
        for block in write_messages(messages(), "zstd"):
            connection.sendall(_chunk(block))

    return answer


@pytest.mark.parametrize("when", list(_SIGNS_OF_LIFE))
def test_signs_of_life_are_no_progress(patient: tuple[ScriptedServer, SyncClient], when: str) -> None:
    """A version 2 server that sends only signs of life fails after max_silence."""
    server, client = patient
    sign, ask = _SIGNS_OF_LIFE[when]
    server.answer(_signs_of_life(server, DESCRIBED if when == "instead of digests" else None, sign))
    with pytest.raises(TransportError, match=r"neither rows nor digests nor files for 0\.3 seconds.*max_silence"):
        ask(client)


def test_progress_is_waited_for(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as rows arrive, an answer may take longer than max_silence."""
    passed = 0.0
    monotonic = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + passed)
    taken = threading.Semaphore(0)

    def messages() -> Iterator[Message]:
        for number in range(8):
            yield Rows(count=1, data=b"%d\n" % number)
            assert taken.acquire(timeout=60)

    def answer(connection: socket) -> None:
        connection.sendall(_head(media_type("zstd")))
        for block in write_messages(messages(), "zstd"):
            connection.sendall(_chunk(block))
        connection.sendall(b"0\r\n\r\n")

    server.answer(answer)
    with (
        SyncClient(server.url, retries=0, timeout=10_000, max_silence=600) as client,
        client.get_rows(GetRows(table_slice=_SLICE)) as rows,
    ):
        for _ in rows:
            passed += 100
            taken.release()
    assert passed == 800


def test_a_time_limit_ends_an_answer(server: ScriptedServer, client: SyncClient) -> None:
    """An answer ends at the time limit of the sync, with or without rows, and is not requested again."""

    def rows() -> Iterator[Message]:
        while not server.released.wait(0.02):
            yield Rows(count=1, data=b"1\n")

    def answer(connection: socket) -> None:
        connection.sendall(_head(media_type("zstd")))
        for block in write_messages(rows(), "zstd"):
            connection.sendall(_chunk(block))

    server.answer(answer)
    with client.within(0.4), pytest.raises(TransportError, match=r"longer than the 0\.4 seconds that max_seconds allows"):
        _read(client.get_rows(GetRows(table_slice=_SLICE)))
    server.answer(_OK)
    assert len(client.get_table_hash("v_basic")) == 40, "the limit held for the block alone"


def test_a_time_limit_ends_repeated_requests(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses between attempts count towards the time limit, and none goes beyond it."""
    server.answer(reply(503, headers={"Retry-After": "30"}))
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", lambda seconds, sleep=time.sleep: (pauses.append(seconds), sleep(seconds)))
    with SyncClient(server.url, retries=5) as client, client.within(1), pytest.raises(TransportError, match="max_seconds"):
        client.get_table_hash("orders")
    assert server.asked(1)
    assert len(pauses) <= 1
    assert sum(pauses) <= 1


def test_the_earlier_of_two_limits_counts(server: ScriptedServer) -> None:
    """Of two nested time limits, the earlier one applies."""
    server.answer(server.silence)
    with SyncClient(server.url, retries=0) as client, client.within(1.5):
        with client.within(100), pytest.raises(TransportError, match=r"1\.5 seconds"):
            client.get_table_hash("orders")
        with pytest.raises(TransportError, match=r"1\.5 seconds"):
            client.get_table_hash("orders")
    assert server.asked(1)


def test_a_server_that_does_not_read_is_given_up() -> None:
    """A request that the server does not read ends, too."""
    keys = "1\n" * 8_000_000
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with SyncClient(url, retries=0, timeout=0.3) as other, pytest.raises(TransportError):
            other.get_rows(GetRows(table_slice=_SLICE, keys=keys))


def test_nothing_is_left_behind(slow: tuple[ScriptedServer, SyncClient]) -> None:
    """Time limits use no threads, and close connections that they end."""
    server, client = slow
    before = threading.active_count()
    server.answer(_forever(server, b"", b"H"))
    for _ in range(3):
        with pytest.raises(TransportError):
            client.get_table_hash("orders")
    server.released.set()
    wait_until(lambda: threading.active_count() <= before)


@pytest.mark.parametrize("status", [302, 401, 404, 422, 429, 500, 503])
def test_an_error_is_not_waited_for(status: int) -> None:
    """An endless error body is read only until the timeout; the error is that of its status."""
    sent: list[None] = []
    start = head(status, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}) + _chunk(b"{")

    def answer(connection: socket) -> None:
        connection.sendall(start)
        while not server.released.wait(0.02) and len(sent) < 1000:
            connection.sendall(_chunk(b" "))
            sent.append(None)

    with scripted_server() as server, SyncClient(server.url, retries=0, timeout=1) as client:
        server.answer(answer)
        with pytest.raises((ServerError, ProtocolError), match=f"status {status}|does not take POST|nothing at"):
            client.get_table_hash("orders")
    assert len(sent) < 500


def test_many_addresses_share_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connecting to a name with a hundred silent addresses ends after the timeout."""
    now = time.monotonic()
    tried: list[str] = []

    def connect(address: tuple[str, int], timeout: float, **_options: object) -> None:
        nonlocal now
        tried.append(address[0])
        now += timeout
        raise TimeoutError("timed out")

    began = now
    found = [(AF_INET, SOCK_STREAM, 6, "", (f"192.0.2.{number}", 80)) for number in range(100)]
    monkeypatch.setattr(bounded_http, "getaddrinfo", lambda *_arguments, **_options: found)
    monkeypatch.setattr(urllib3.util.connection, "create_connection", connect)
    with SyncClient("http://many.example", retries=0, timeout=60) as client:
        monkeypatch.setattr(time, "monotonic", lambda: now)
        with pytest.raises(TransportError, match="did not answer in time"):
            client.get_table_hash("orders")
    assert len(tried) == 100
    assert now - began < 61
