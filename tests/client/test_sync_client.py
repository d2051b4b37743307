"""The calls of the client against recorded answers, and against servers that misbehave."""

from __future__ import annotations

import gzip
import json

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, SizeLimits
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    GuardError,
    IncompleteStreamError,
    ProtocolError,
    ServerError,
    SyncError,
    TableError,
)
from airflow_provider_sync.protocol.v1 import EMPTY, TIME_ZONE_HEADER
from airflow_provider_sync.protocol.v1.frames import frame_header
from tests.client.scripted_server import ScriptedServer, recorded, recorded_names, reply, stream, until_closed

_HASH = "8b880909ef7b5580492edeea44c0b27c783e98ed"
_ROWS = [(1, "one"), (2, "two")]
_BODY = gzip.compress(b'{"id":1,"name":"one"}\n{"id":2,"name":"two"}\n')
_FILES = {"a.txt": b"hello\n", "empty": b"", "sub/ü": b"\x00\xff" * 50}
_FRAMES = b"".join(frame_header(path, len(content)) + content for path, content in _FILES.items())
_ERROR = b'{\n    "message": "Server Error"\n}'
_HTML = b"<!DOCTYPE html><html><title>Log in</title></html>"


def _table(client: SyncClient, name: str = "orders") -> list[tuple[object, ...]]:
    answer = client.get_table(name)
    assert answer is not None
    with answer:
        return [row for batch in answer for row in batch]


def _files(client: SyncClient, *paths: str) -> dict[str, bytes]:
    with client.get_files("images", paths or tuple(_FILES)) as answer:
        return {frame.path: b"".join(frame.chunks) for frame in answer}


# -- what is asked and answered --------------------------------------------------------------------------------------------


def test_a_hash_is_asked_for_by_name(server: ScriptedServer, client: SyncClient) -> None:
    """The recorded hash is returned, and the request has the form of existing clients."""
    server.answer(recorded("hash_ok"))
    assert client.get_table_hash("v_basic äöü") == _HASH
    request = server.requests[0]
    assert (request.path, request.fields) == ("/api/sync/getTableHash", [("config_name", "v_basic äöü")])
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert request.headers["authorization"] == "Bearer secret-token"


@pytest.mark.parametrize("name", recorded_names("/getTable", 200))
def test_recorded_tables_are_read(server: ScriptedServer, client: SyncClient, name: str) -> None:
    """Every recorded table is read completely, with its columns."""
    server.answer(recorded(name))
    answer = client.get_table("v_basic")
    assert answer is not None
    with answer:
        rows = [row for batch in answer for row in batch]
    assert answer.rows_received == len(rows) > 0
    assert answer.columns[0] == "id"
    assert answer.hash is None
    assert client.traffic.bytes_received > 0


@pytest.mark.parametrize("value", [_HASH, EMPTY])
def test_an_equal_hash_is_no_table(server: ScriptedServer, client: SyncClient, value: str) -> None:
    """The client sends a hash with the request, and 304 means that the table is equal."""
    server.answer(recorded("table_304_trimmed"))
    assert client.get_table("v_basic", value) is None
    assert server.requests[0].fields == [("config_name", "v_basic"), ("hash", value)]


def test_a_304_without_a_hash_is_refused(server: ScriptedServer, client: SyncClient) -> None:
    """A 304 is refused if the client sent no hash."""
    server.answer(recorded("table_304_trimmed"))
    with pytest.raises(ProtocolError, match="304"):
        client.get_table("v_basic")


@pytest.mark.parametrize(
    ("etag", "expected"),
    [
        (f'"{_HASH}"', _HASH),
        (f'W/"{_HASH}"', _HASH),
        (f'"{EMPTY}"', EMPTY),
        ('"abc"', None),
        (_HASH, None),
        ('"' + "g" * 40 + '"', None),
    ],
)
def test_the_hash_comes_along_with_the_rows(server: ScriptedServer, client: SyncClient, etag: str, expected: str | None) -> None:
    """The ETag of our own server is the hash of the rows; any other ETag is ignored."""
    server.answer(stream(_BODY, {"ETag": etag, TIME_ZONE_HEADER: "+00:00"}))
    answer = client.get_table("orders")
    assert answer is not None
    with answer:
        assert (answer.hash, answer.one_snapshot) == (expected, True)
        assert [row for batch in answer for row in batch] == _ROWS


def test_the_etag_of_a_proxy_proves_nothing(server: ScriptedServer, client: SyncClient) -> None:
    """An ETag that a proxy computed with SHA-1 is no hash of rows, and does not say that they are from one snapshot."""
    server.answer(stream(_BODY, {"ETag": f'"{_HASH}"'}))
    answer = client.get_table("orders")
    assert answer is not None
    with answer:
        assert (answer.hash, answer.one_snapshot) == (None, False)


def test_an_empty_table_has_no_rows(server: ScriptedServer, client: SyncClient) -> None:
    """The gzip of nothing is an empty table."""
    server.answer(stream(gzip.compress(b"")))
    assert _table(client) == []


@pytest.mark.parametrize("name", recorded_names("/getFileHashes", 200))
def test_recorded_manifests_are_read(server: ScriptedServer, client: SyncClient, name: str) -> None:
    """Every recorded manifest is read: objects, the list of files named 0, 1, 2, and the empty list."""
    server.answer(recorded(name))
    hashes = client.get_file_hashes("images")
    assert all(len(value) in (0, 32) for value in hashes.values())
    assert name != "filehashes_num" or list(hashes) == ["0", "1", "2"]


def test_files_come_in_the_order_asked(server: ScriptedServer, client: SyncClient) -> None:
    """Files are numbered from 0 in the request, and arrive complete."""
    server.answer(stream(_FRAMES, size=3))
    assert _files(client) == _FILES
    assert server.requests[0].fields == [("config_name", "images"), *((f"files[{n}]", path) for n, path in enumerate(_FILES))]


def test_recorded_files_are_read(server: ScriptedServer, client: SyncClient) -> None:
    """The recorded frames of an existing server are read."""
    server.answer(recorded("files_nested"))
    assert _files(client, "sub/x.txt", "sub/deep/er/d.txt") == {"sub/x.txt": b"x", "sub/deep/er/d.txt": b"deep"}


@pytest.mark.parametrize("count", [0, 999])
def test_a_request_that_servers_would_cut_is_not_sent(server: ScriptedServer, client: SyncClient, count: int) -> None:
    """The client refuses to send a request without files, or with more than the 1000 fields that existing servers read."""
    with pytest.raises(ConfigurationError, match="1 to 998"):
        client.get_files("images", [str(number) for number in range(count)])
    assert server.requests == []


# -- bodies that must not be taken for whole -------------------------------------------------------------------------------


@pytest.mark.parametrize("end", range(len(_BODY)))
def test_a_table_cut_anywhere_is_an_error(server: ScriptedServer, client: SyncClient, end: int) -> None:
    """A table that is cut at any place is incomplete, whether HTTP shows that or not."""
    server.answer(until_closed(_BODY[:end]), stream(_BODY[:end], end=False), stream(_BODY[:end]))
    for _ in range(3):
        with pytest.raises(IncompleteStreamError, match=r"^Table 'orders': "):
            _table(client)


@pytest.mark.parametrize("end", range(len(_FRAMES)))
def test_files_cut_anywhere_are_an_error(server: ScriptedServer, client: SyncClient, end: int) -> None:
    """A body of files that is cut at any place, also between two frames, is incomplete."""
    server.answer(until_closed(_FRAMES[:end]))
    with pytest.raises(IncompleteStreamError, match=r"^Directory 'images': "):
        _files(client)


def test_a_body_shorter_than_announced_is_an_error(server: ScriptedServer, client: SyncClient) -> None:
    """A body below its Content-Length is a truncated answer."""
    server.answer(reply(200, _FRAMES, {"Content-Length": "9999"}, kind="application/octet-stream"))
    with pytest.raises(IncompleteStreamError):
        _files(client)


@pytest.mark.parametrize("name", ["files_absent_second", "files_absent_throw"])
def test_recorded_glued_errors_are_refused(server: ScriptedServer, client: SyncClient, name: str) -> None:
    """The recorded answer with an error after the first file is refused, with either status."""
    answer = recorded(name)
    server.answer(answer, answer.replace(b"500 Internal Server Error", b"200 OK").replace(b"/json", b"/octet-stream"))
    with pytest.raises(ServerError):
        _files(client, "a.txt", "absent.txt")
    with pytest.raises(ProtocolError, match="Server Error"):
        _files(client, "a.txt", "absent.txt")


def test_an_error_glued_to_a_table_is_named(server: ScriptedServer, client: SyncClient) -> None:
    """The error shows the server's own message, after the end of the body or in place of it."""
    server.answer(stream(_BODY + _ERROR), stream(_BODY[:-12] + _ERROR), stream(_BODY[:30] + _ERROR))
    for _ in range(3):
        with pytest.raises(IncompleteStreamError, match="'Server Error'"):
            _table(client)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (_FRAMES + frame_header("more", 0), "'more' after all 3 files"),
        (frame_header("../etc/passwd", 1) + b"x", "'../etc/passwd' where 'a.txt' was asked for"),
        (frame_header("empty", 0), "'empty' where 'a.txt' was asked for"),
    ],
)
def test_files_that_nobody_asked_for_are_refused(server: ScriptedServer, client: SyncClient, body: bytes, message: str) -> None:
    """Only the requested files are returned, in their order."""
    server.answer(stream(body))
    with pytest.raises(ProtocolError, match=message):
        _files(client)


def test_a_lost_row_names_the_table(server: ScriptedServer, client: SyncClient) -> None:
    """An empty line is refused with the name of the table and the remedy."""
    server.answer(stream(gzip.compress(b'{"id":1}\n\n')))
    with pytest.raises(TableError, match=r"Table 'orders': Row 2 came as an empty line.*version 2"):
        _table(client)


def test_an_endless_table_is_stopped(server: ScriptedServer) -> None:
    """A body that inflates beyond the limit is refused."""
    server.answer(stream(gzip.compress(b'{"id":1}\n' * 10_000)))
    with (
        SyncClient(server.url, retries=0, limits=SizeLimits(max_table_bytes=5000)) as client,
        pytest.raises(GuardError, match=r"5000 bytes that limits\.max_table_bytes allows"),
    ):
        _table(client)


def test_a_proxy_may_compress_once_more(server: ScriptedServer, client: SyncClient) -> None:
    """Content-Encoding is decoded once, and the table's own gzip stays for the protocol."""
    encoded = {"Content-Encoding": "gzip"}
    body = json.dumps({"hashes": {"a": "x"}}).encode()
    server.answer(stream(gzip.compress(_BODY), encoded), reply(200, gzip.compress(body), encoded))
    assert _table(client) == _ROWS
    assert client.get_file_hashes("images") == {"a": "x"}


def test_an_encoding_that_nobody_asked_for_is_refused(server: ScriptedServer, client: SyncClient) -> None:
    """An unknown encoding is refused by its name."""
    server.answer(stream(_BODY, {"Content-Encoding": "br"}))
    with pytest.raises(ProtocolError, match="'br'"):
        _table(client)


# -- answers of another kind -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", ["hash", "table", "hashes", "files", "ping"])
@pytest.mark.parametrize("kind", ["text/html; charset=UTF-8", "application/json", "application/octet-stream", ""])
def test_html_is_refused(server: ScriptedServer, client: SyncClient, call: str, kind: str) -> None:
    """A login page with status 200 is refused, with any content type; if it says that it is HTML, the error names the URL."""
    server.answer(reply(200, _HTML, kind=kind))
    with pytest.raises(ProtocolError) as caught:
        _call(client, call)
    assert kind == "application/octet-stream" or server.url in str(caught.value)
    assert not caught.value.retryable


def _call(client: SyncClient, call: str) -> None:
    calls = {
        "hash": lambda: client.get_table_hash("orders"),
        "table": lambda: _table(client),
        "hashes": lambda: client.get_file_hashes("images"),
        "files": lambda: _files(client),
        "ping": client.ping,
    }
    calls[call]()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"hash":null}',
        b'{"hash":1}',
        b'{"hash":""}',
        b'{"hash":["a"]}',
        b'{"hash":"a\\nb"}',
        b'{"hash":"a',
    ],
)
def test_what_is_not_a_hash_is_refused(server: ScriptedServer, client: SyncClient, body: bytes) -> None:
    """Only a string that can be a hash is accepted."""
    server.answer(reply(200, body))
    with pytest.raises(ProtocolError):
        client.get_table_hash("orders")


def test_a_hash_without_end_is_stopped(server: ScriptedServer, client: SyncClient) -> None:
    """The size of a JSON answer is limited."""
    server.answer(stream(b'{"hash":"' + b"a" * 100_000, {"Content-Type": "application/json"}))
    with pytest.raises(ProtocolError, match="more than 65536 bytes"):
        client.get_table_hash("orders")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(server: ScriptedServer, client: SyncClient, status: int) -> None:
    """A POST never becomes a GET; the error gives the address, without what may be secret in it."""
    server.answer(reply(status, headers={"Location": "https://user:secret@new.example/sync/getTable?key=secret"}))
    with pytest.raises(ProtocolError, match=r"https://new.example/sync/getTable:") as caught:
        client.get_table("orders")
    assert "secret" not in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("location", "advice"),
    [
        ("https://new.example/sync/getTable/", "use that address, without /getTable, as the URL"),
        ("https://login.example/?next=getTable", "is there a login page in front of the server"),
    ],
)
def test_a_login_page_is_not_recommended(server: ScriptedServer, client: SyncClient, location: str, advice: str) -> None:
    """The error recommends the address of a redirect only if it leads to the same endpoint."""
    server.answer(reply(302, headers={"Location": location}))
    with pytest.raises(ProtocolError, match=advice):
        client.get_table("orders")


def test_a_server_that_cannot_hash_still_sends(server: ScriptedServer, client: SyncClient) -> None:
    """A table that cannot be hashed is a server error for the hash, but its rows can be read."""
    server.answer(recorded("hash_no_pk_500"), stream(_BODY))
    with pytest.raises(ServerError, match="500") as caught:
        client.get_table("orders", _HASH)
    assert caught.value.status == 500
    assert _table(client) == _ROWS


# -- ping ------------------------------------------------------------------------------------------------------------------


def test_ping_knows_a_sync_server(server: ScriptedServer, client: SyncClient) -> None:
    """A server that asks for the name of a table is a sync server."""
    server.answer(recorded("hash_missing"))
    client.ping()
    assert server.requests[0].fields == []


@pytest.mark.parametrize(
    "answer",
    [
        recorded("hash_ok"),
        recorded("auth_wrong"),
        recorded("table_unknown_endpoint"),
        reply(422, b'{"x":[]}'),
        reply(422, b"[1]"),
    ],
)
def test_ping_refuses_anything_else(server: ScriptedServer, client: SyncClient, answer: bytes) -> None:
    """Any other answer of a ping is an error."""
    server.answer(answer)
    with pytest.raises(SyncError):
        client.ping()


# -- who asks --------------------------------------------------------------------------------------------------------------


def test_a_login_and_headers_go_along(server: ScriptedServer) -> None:
    """Basic authentication and additional headers are sent as configured, also beyond ASCII."""
    server.answer(recorded("hash_ok"))
    config = ClientConfig.from_dict(
        {"url": server.url + "/", "login": "ü", "password": "p:w", "headers": {"X-Key": "secret-key"}}
    )
    with SyncClient.from_config(config) as client:
        client.get_table_hash("v_basic")
        assert "p:w" not in repr(client)
    request = server.requests[0]
    assert request.path == "/api/sync/getTableHash"
    assert request.headers["authorization"] == "Basic w7w6cDp3"
    assert request.headers["x-key"] == "secret-key"
