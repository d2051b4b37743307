"""Addresses, time limits and trying again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path
from socket import socket

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.connection_settings import base_url
from airflow_provider_sync.exceptions import ConfigurationError, IncompleteStreamError, ServerError, TransportError
from tests.client.scripted_server import ScriptedServer, head, recorded, reply, stream

_OK = recorded("hash_ok")


@pytest.fixture
def patient(server: ScriptedServer) -> Iterator[SyncClient]:
    """Give a client that repeats a request up to three times."""
    with SyncClient(server.url, retries=3, timeout=10) as client:
        yield client


def _slam(connection: socket) -> None:
    """Close the connection without an answer."""


@pytest.mark.parametrize("failure", [reply(500), reply(502, b"<html>", kind="text/html"), reply(503), reply(429), _slam])
def test_what_may_pass_is_tried_again(server: ScriptedServer, patient: SyncClient, pauses: list[float], failure: bytes) -> None:
    """Transient errors are retried, with a pause before each try."""
    server.answer(failure, failure, _OK)
    assert len(patient.get_table_hash("v_basic")) == 40
    assert len(server.requests) == patient.traffic.requests == 3
    assert patient.traffic.bytes_sent == 3 * len("config_name=v_basic")
    assert len(pauses) == 2


def test_a_hash_that_breaks_off_is_asked_for_again(server: ScriptedServer, patient: SyncClient, pauses: list[float]) -> None:
    """A short answer is requested again, also if its body was cut."""
    server.answer(stream(b'{"hash":', {"Content-Type": "application/json"}, end=False), _OK)
    assert len(patient.get_table_hash("v_basic")) == 40
    assert len(pauses) == 1


def test_an_answer_that_is_cut_within_its_length_is_asked_for_again(
    server: ScriptedServer, patient: SyncClient, pauses: list[float]
) -> None:
    """JSON of version 1 that is cut but fits its Content-Length is requested again, up to ``retries`` times."""
    kind = "application/json"
    server.answer(reply(200, b'{"hash":"0123', kind=kind), _OK)
    assert len(patient.get_table_hash("v_basic")) == 40
    cut = reply(200, b'{"hashes":{"a":"1","b', kind=kind)
    server.answer(cut, cut, reply(200, b'{"hashes":{"a":"1","b":"2"}}', kind=kind))
    assert patient.get_file_hashes("images") == {"a": "1", "b": "2"}
    assert len(pauses) == 3
    server.answer(cut)
    with pytest.raises(IncompleteStreamError, match="cut or damaged on its way"):
        patient.get_file_hashes("images")
    assert len(pauses) == 6


def test_a_table_that_breaks_off_is_not_asked_for_again(server: ScriptedServer, patient: SyncClient, pauses: list[float]) -> None:
    """After rows were returned, only the caller can repeat the request."""
    server.answer(stream(b"\x1f\x8b", end=False))
    answer = patient.get_table("v_basic")
    assert answer is not None
    with answer, pytest.raises(IncompleteStreamError):
        list(answer)
    assert len(server.requests) == 1
    assert pauses == []


def test_trying_again_ends(server: ScriptedServer, patient: SyncClient, pauses: list[float]) -> None:
    """After the last try, the error is the server's, and transient."""
    server.answer(recorded("hash_no_pk_500"))
    with pytest.raises(ServerError, match="status 500 for table 'v_basic'") as caught:
        patient.get_table_hash("v_basic")
    assert caught.value.retryable
    assert len(server.requests) == 4
    assert len(pauses) == 3


@pytest.mark.parametrize("status", [401, 403, 404, 405, 422, 413])
def test_what_does_not_pass_is_tried_once(server: ScriptedServer, patient: SyncClient, pauses: list[float], status: int) -> None:
    """A permanent error is not retried."""
    server.answer(reply(status))
    with pytest.raises(ServerError) as caught:
        patient.get_table_hash("v_basic")
    assert caught.value.status == status
    assert len(server.requests) == 1
    assert pauses == []


def test_the_server_says_how_long_to_wait(server: ScriptedServer, patient: SyncClient, pauses: list[float]) -> None:
    """Retry-After is obeyed, as seconds and as a date."""
    past = formatdate(time.time() - 100, usegmt=True)
    server.answer(reply(429, headers={"Retry-After": "7"}), reply(503, headers={"Retry-After": past}), _OK)
    patient.get_table_hash("v_basic")
    assert pauses == [7, 0]


def test_a_server_that_asks_for_too_long_is_not_waited_for(
    server: ScriptedServer, patient: SyncClient, pauses: list[float]
) -> None:
    """A Retry-After of an hour is not honoured; the error is transient."""
    server.answer(reply(429, headers={"Retry-After": "3600"}))
    with pytest.raises(ServerError, match="429") as caught:
        patient.get_table_hash("v_basic")
    assert caught.value.retryable
    assert pauses == []


def test_silence_is_an_error(server: ScriptedServer) -> None:
    """A server that does not answer in time is a transient error."""
    server.answer(server.silence)
    with SyncClient(server.url, retries=0, timeout=0.5) as client, pytest.raises(TransportError, match="did not answer in time"):
        client.get_table_hash("v_basic")


def test_silence_within_a_body_is_an_error(server: ScriptedServer) -> None:
    """A server that stops sending is a transient error that names the table."""

    def stop(connection: socket) -> None:
        connection.sendall(head(200, {"Content-Type": "application/octet-stream", "Content-Length": "99"}) + b"\x1f\x8b")
        server.silence(connection)

    server.answer(stop)
    with SyncClient(server.url, retries=0, timeout=2) as client:
        answer = client.get_table("orders")
        assert answer is not None
        with answer, pytest.raises(IncompleteStreamError, match=r"Table 'orders': .*stopped sending"):
            list(answer)


def test_nobody_there_is_an_error(server: ScriptedServer, pauses: list[float]) -> None:
    """A closed port is tried again, and then is an error without the text of HTTP libraries."""
    with socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with SyncClient(url, token="secret", retries=2) as client, pytest.raises(TransportError) as caught:
            client.get_table_hash("v_basic")
    assert str(caught.value).startswith(f"No answer from {url}/getTableHash: Connection refused.")
    assert client.traffic.requests == 3


def test_netrc_is_not_looked_at(server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials in the user's ~/.netrc are never sent."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    server.answer(_OK)
    for token in ("mine", None):
        with SyncClient(server.url, token=token) as client:
            client.get_table_hash("v_basic")
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer mine", None]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "The URL of the server is ''"),
        ("host/api/sync", "Give one such as"),
        ("ftp://host/x", "Give one such as"),
        ("http://", "Give one such as"),
        ("http://host:port/", "not valid"),
        ("https://user:secret@host/", "holds credentials"),
        ("https://secret@host/", "holds credentials"),
        ("user:secret@host", "holds credentials"),
        ("//user:secret@host/x", "holds credentials"),
        ("https://user:secret/more@host/", "holds credentials"),
        ("https://user:secret#more@host/", "holds credentials"),
        ("host/?token=secret", "The URL of the server is 'host/'"),
        ("https://host/?token=secret", "query"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, message: str) -> None:
    """A wrong URL is an error before anything is sent, and does not repeat credentials."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        SyncClient(url)
    assert "secret" not in str(caught.value)


def test_a_base_url_may_end_in_a_slash() -> None:
    """Endpoints follow the base URL after exactly one slash."""
    assert base_url(" https://host:8443/api/sync// ") == "https://host:8443/api/sync"


@pytest.mark.parametrize(
    "options",
    [
        {"token": "secret\nX-Other: 1"},
        {"headers": {"X-Key": "secret→"}},
        {"headers": {"X-Key": "secret\r\n"}},
        {"token": "secret", "login": "user"},
        {"password": "secret"},
    ],
)
def test_credentials_that_cannot_be_sent_are_refused(options: dict[str, object]) -> None:
    """Credentials that HTTP does not allow, or that contradict each other, are refused without repeating them."""
    with pytest.raises(ConfigurationError) as caught:
        SyncClient("https://host/", **options)  # type: ignore[arg-type]
    assert "secret" not in str(caught.value)
