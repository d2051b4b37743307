"""Answers that are not HTTP, or not as HTTP allows, and text that is meant for the terminal: each is one error with one line."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from email.utils import formatdate
from socket import socket

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ProtocolError, ServerError, SyncError, TransportError
from airflow_provider_sync.protocol.v2.messages import Capabilities, DescribeTable, Failure, GetRows, RequestedSlice
from airflow_provider_sync.protocol.v2.stream import media_type, write_messages
from tests.client.scripted_server import ScriptedServer, head, recorded, reply, stream, until_closed
from tests.client.test_table_streams import DESCRIBED

_CHUNKED = {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}
_OK = recorded("hash_ok")


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(head(200, _CHUNKED) + b"-5\r\nhello\r\n0\r\n\r\n", id="a negative chunk"),
        pytest.param(head(200, _CHUNKED) + b"zz\r\nhello\r\n0\r\n\r\n", id="a chunk of no number"),
        pytest.param(head(200, _CHUNKED) + b"ffffffffffffffffffff\r\nhello", id="a chunk beyond any size"),
        pytest.param(head(200, _CHUNKED) + b"5_0\r\nhello\r\n0\r\n\r\n", id="a chunk with an underscore"),
        pytest.param(head(200, {**_CHUNKED, "Content-Length": "5"}) + b"5\r\nhello\r\n0\r\n\r\n", id="two lengths"),
        pytest.param(head(200, {"Content-Length": "5, 6"}) + b"hello", id="two contradicting lengths"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc", id="two headers of a length"),
        pytest.param(head(200, {"Content-Length": "-5"}) + b"hello", id="a negative length"),
        pytest.param(head(200, {"Content-Length": "x"}) + b"hello", id="a length of no number"),
        pytest.param(head(200, {"Content-Length": "9" * 5000}) + b"hello", id="a length of 5000 digits"),
        pytest.param(head(302, {"Location": "http://["}), id="a redirect to nowhere"),
        pytest.param(head(302, {"Location": "http://\xff\xfe:99999999/"}), id="a redirect to no host"),
        pytest.param(head(302, {"Location": "\x1b[2Jhttp://host/x"}), id="a redirect with an escape code"),
        pytest.param(b"HTTP/1.1 200 OK\r\nLocation: http://[\r\n\r\n", id="a redirect that is none"),
        pytest.param(head(503, {"Retry-After": "1\x1f"}), id="a pause with a control character"),
        pytest.param(head(503, {"Retry-After": "9" * 5000}), id="a pause of 5000 digits"),
        pytest.param(head(503, {"Retry-After": "\xb2"}), id="a pause of a superscript"),
        pytest.param(head(503, {"Retry-After": "Fri, 99 Dec 99999 99:99:99 GMT"}), id="a pause until no date"),
        pytest.param(head(503, {"Retry-After": formatdate(2**36)}), id="a pause until a distant date"),
        pytest.param(head(503, {"Retry-After": "Mon, 01 Jan 0001 00:00:00 +2359"}), id="a pause until before all dates"),
        pytest.param(b"HTTP/1.1 abc OK\r\n\r\n", id="a status of letters"),
        pytest.param(b"HTTP/1.1 99999 OK\r\n\r\n", id="a status of five digits"),
        pytest.param(b"HTTP/1.1 -20 OK\r\n\r\n", id="a negative status"),
        pytest.param(b"HTTP/9.9 200 OK\r\n\r\n", id="another version"),
        pytest.param(b"SSH-2.0-OpenSSH_9.6\r\n", id="another protocol"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x46", id="TLS"),
        pytest.param(b"\r\n\r\n", id="nothing but line ends"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 101 + b"\r\n", id="a hundred headers"),
        pytest.param(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", id="a long header"),
        pytest.param(b"HTTP/1.1 200 OK\r\n: x\r\nno colon\r\n folded\r\n\r\n", id="headers that are none"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: \xff\xfe;;=\0\r\n\r\n{}", id="a type of no letters"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nhello", id="no gzip"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", id="an unknown transfer"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + _OK, id="early hints"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", id="another protocol from now on"),
        pytest.param(reply(206, b'{"hash": "x"}', {"Content-Range": "bytes 0-1/9"}), id="a part"),
        pytest.param(head(204, {}), id="nothing"),
        pytest.param(head(304, {}), id="not modified"),
        pytest.param(head(200, {"Set-Cookie": "\x01=;" * 1000, "Content-Length": "0"}), id="cookies"),
        pytest.param(reply(200, b"[" * 100_000), id="brackets"),
        pytest.param(reply(500, b"[" * 60_000), id="brackets of an error"),
        pytest.param(reply(200, b'{"hash": "x", "x": ' + b"[" * 60_000), id="brackets in a field"),
        pytest.param(reply(422, b'{"x": ' + b"[" * 60_000), id="brackets in a field of an error"),
        pytest.param(reply(422, b'{"message": ' + b"1" * 5000 + b"}"), id="digits of an error"),
        pytest.param(reply(422, b'{"errors": {"a": [[[{}]], null, 1e999]}}'), id="an error of other types"),
        pytest.param(reply(200, b'{"hash": ' + b"1" * 5000 + b"}"), id="digits"),
        pytest.param(reply(200, b'{"hash": "\\ud800"}'), id="half of a pair"),
        pytest.param(reply(200, b'\xef\xbb\xbf{"hash": "x"}'), id="a byte order mark"),
        pytest.param(until_closed(b"{" + bytes(1 << 20), "application/json"), id="a megabyte of NUL"),
    ],
)
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.HTTPWarning")
def test_a_malformed_answer_is_an_error_of_a_sync(server: ScriptedServer, client: SyncClient, answer: bytes) -> None:
    """Any malformed answer is an error of this package, on one line without control characters."""
    calls: list[Callable[[], object]] = [
        lambda: client.get_table_hash("orders"),
        lambda: client.get_file_hashes("images"),
        lambda: client.get_table("orders"),
        lambda: client.get_files("images", ["a"]),
        lambda: client.describe_table(DescribeTable(table_slice=RequestedSlice(name="orders"))),
        client.ping,
    ]
    server.answer(answer)
    for call in calls:
        with pytest.raises(SyncError) as caught:
            call()
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 1000


def test_no_redirect_is_read(server: ScriptedServer, client: SyncClient) -> None:
    """The client does not read the body of a redirect, whatever its size."""

    def answer(connection: socket) -> None:
        connection.sendall(head(302, {"Location": "https://elsewhere/", "Content-Length": str(1 << 40)}))
        while not server.released.is_set():
            connection.sendall(bytes(1 << 20))

    server.answer(answer)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match="redirect"):
            client.get_table_hash("orders")
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


_HOSTILE = "\x1b[2J\x1b]0;title\x07red\x1b[31m\r\nERROR forged line \u202egnp.exe\u2028\x9b1m" + "long " * 100_000


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, json.dumps({"message": _HOSTILE[:60_000]}).encode()),
        reply(422, json.dumps({"config_name": [_HOSTILE[:60_000]]}).encode()),
        reply(422, json.dumps({"errors": {"x": _HOSTILE[:60_000]}}).encode()),
        stream(b"".join(write_messages([], "zstd")), {"Content-Type": "\x1b[31m" + "x" * 60_000}),
    ],
)
def test_what_a_server_says_is_shown_in_one_short_line(server: ScriptedServer, client: SyncClient, answer: bytes) -> None:
    """Escape codes, line breaks and marks of the direction of text are made visible, and long text is cut."""
    server.answer(answer)
    with pytest.raises(SyncError) as caught:
        list(client.get_rows(GetRows(table_slice=RequestedSlice(name="orders"))))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 2_500


def test_the_reason_of_a_stream_that_broke_off_is_shown_in_one_short_line(server: ScriptedServer, client: SyncClient) -> None:
    """The last message of a stream is shown in the same way."""

    def messages() -> object:
        yield DESCRIBED
        raise RuntimeError

    body = b"".join(
        write_messages(messages(), "zstd", explain=lambda error: Failure(status=17, message=_HOSTILE))  # type: ignore[arg-type]
    )
    server.answer(stream(body, {"Content-Type": media_type("zstd")}))
    with (
        client.describe_table(DescribeTable(table_slice=RequestedSlice(name="orders"))) as answer,
        pytest.raises(ServerError) as caught,
    ):
        list(answer)
    assert str(caught.value).isprintable()
    assert "ERROR forged line" in str(caught.value)
    assert len(str(caught.value)) < 2_500
    assert caught.value.status == 500, "17 is no status of an error"


@pytest.mark.parametrize("token", ["schlüssel-ü", "ключ", "鍵-🔑"])
def test_a_token_may_have_any_letters(server: ScriptedServer, token: str) -> None:
    """A token is sent as UTF-8, and the server half compares it as UTF-8."""
    server.answer(_OK)
    with SyncClient(server.url, token=token) as client:
        client.get_table_hash("v_basic")
    assert server.requests[0].headers["authorization"] == f"Bearer {token}"


def test_a_connection_that_is_closed_in_the_head(server: ScriptedServer, client: SyncClient) -> None:
    """A truncated head is a transient error."""
    server.answer(b"HTTP/1.1 200 OK\r\nContent-Type: appl")
    with pytest.raises(SyncError):
        client.get_table_hash("orders")
    server.answer(b"HTTP/1.1 2")
    with pytest.raises(TransportError):
        client.get_table_hash("orders")


def _answers() -> st.SearchStrategy[bytes]:
    """Bend valid answers of every kind in a few places."""
    valid = [
        _OK,
        recorded("hash_no_pk_500"),
        stream(b"".join(write_messages([DESCRIBED], "gzip")), {"Content-Type": media_type("gzip")}, size=40),
        reply(body=msgspec.json.encode(Capabilities(tables={"t": ("a",)}, directories=("d",)))),
        reply(body=b'{"hashes":{"a":"b"}}'),
        stream(gzip.compress(b'{"id":1}\n')),
        head(302, {"Location": "https://user:password@host/x"}),
        reply(503, headers={"Retry-After": "Sun, 29 Nov 2026 00:00:00 GMT"}),
    ]
    edits = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 8), st.binary(max_size=6)), min_size=1, max_size=4)

    def bend(answer: bytes, edits: list[tuple[int, int, bytes]]) -> bytes:
        for place, removed, added in edits:
            answer = answer[:place] + added + answer[place + removed :]
        return answer

    return st.builds(bend, st.sampled_from(valid), edits)


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(_answers())
@pytest.mark.filterwarnings("ignore::urllib3.exceptions.HTTPWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_any_answer_is_a_value_or_an_error_of_a_sync(server: ScriptedServer, answer: bytes) -> None:
    """For any bytes, each call returns or raises a one-line error of this package."""
    server.answer(answer)
    with SyncClient(server.url, retries=0, timeout=0.5) as client:
        for call in (
            client.capabilities,
            lambda: client.get_table_hash("t"),
            lambda: client.get_file_hashes("d"),
            lambda: _all(client.get_table("t", "x")),
            lambda: _all(client.describe_table(DescribeTable(table_slice=RequestedSlice(name="t")))),
        ):
            message = ""
            try:
                call()
            except SyncError as error:
                message = str(error)
            assert message.isprintable()


def _all(answer: AbstractContextManager[Iterable[object]] | None) -> list[object]:
    if answer is None:
        return []
    with answer as rows:
        return list(rows)


def test_no_cookie_is_kept(server: ScriptedServer, client: SyncClient) -> None:
    """A cookie of one answer is neither kept nor sent with the next request."""
    server.answer(reply(200, b'{"hash": "x"}', {"Set-Cookie": "session=1; Path=/"}))
    for _ in range(2):
        client.get_table_hash("orders")
    assert [request.headers.get("cookie") for request in server.requests] == [None, None]
