"""Which version of the protocol a server speaks: asked once, never guessed."""

from __future__ import annotations

import gzip
import json

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig
from airflow_provider_sync.exceptions import (
    ConfigurationError,
    IncompleteStreamError,
    ProtocolError,
    ServerError,
    SyncError,
    TransportError,
)
from airflow_provider_sync.protocol.v2.messages import Capabilities
from tests.client.scripted_server import ScriptedServer, head, recorded, reply, until_closed

_OFFER = Capabilities(tables={"orders": ("created_at",), "items": ()}, directories=("images",), compressions=("gzip",))
_VERSION_2 = reply(body=msgspec.json.encode(_OFFER))
_PAGE = b"\n <!DOCTYPE html><html><title>Shop</title></html>"


def test_a_server_of_version_2_says_what_it_offers(server: ScriptedServer, client: SyncClient) -> None:
    """The client sends a GET with the credentials and no body, and remembers the answer."""
    server.answer(_VERSION_2, reply(500))
    assert client.capabilities() == _OFFER
    assert client.protocol_for() == 2
    assert client.capabilities() == _OFFER
    (request,) = server.requests
    assert (request.path, request.body) == ("/api/sync/capabilities", b"")
    assert request.headers["authorization"] == "Bearer secret-token"
    assert "content-type" not in request.headers
    assert (client.traffic.requests, client.traffic.bytes_sent) == (1, 0)
    assert client.traffic.bytes_received == len(msgspec.json.encode(_OFFER))


@pytest.mark.parametrize(
    "answer",
    [
        reply(404, b'{"message": "The route api/sync/capabilities could not be found."}'),
        reply(404, _PAGE, kind="text/html"),
        reply(405, b'{"message": "The GET method is not supported for route api/sync/capabilities."}'),
        reply(200, _PAGE, kind="text/html; charset=UTF-8"),
        reply(200, _PAGE, kind="application/octet-stream"),
        until_closed(_PAGE * 10_000, kind="text/html"),
    ],
    ids=["404", "404-page", "405", "page", "page-of-another-type", "long-page"],
)
def test_a_server_without_the_endpoint_speaks_version_1(server: ScriptedServer, client: SyncClient, answer: bytes) -> None:
    """A missing endpoint, another method or a page of HTML means version 1, which is remembered."""
    server.answer(answer, _VERSION_2)
    assert client.capabilities() is None
    assert client.protocol_for() == 1
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_an_error(server: ScriptedServer, client: SyncClient, status: int) -> None:
    """A refused token is an error about the token, and says nothing about versions."""
    server.answer(reply(status, b'{"message": "Unauthenticated."}'), _VERSION_2)
    with pytest.raises(ServerError, match=f"status {status}.*Check the token") as caught:
        client.protocol_for()
    assert not caught.value.retryable
    assert client.protocol_for() == 2


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_failing_server_is_asked_again(server: ScriptedServer, pauses: list[float], status: int) -> None:
    """After a transient failure, the client asks again and uses the later answer."""
    with SyncClient(server.url, retries=3) as client:
        server.answer(reply(status), reply(status), _VERSION_2)
        assert client.protocol_for() == 2
    assert (len(server.requests), len(pauses)) == (3, 2)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_that_goes_on_failing_is_an_error(server: ScriptedServer, pauses: list[float], status: int) -> None:
    """A server that keeps failing is an error; the client never falls back to version 1 silently."""
    with SyncClient(server.url, retries=2) as client:
        server.answer(reply(status))
        with pytest.raises(ServerError) as caught:
            client.protocol_for()
    assert caught.value.retryable
    assert len(server.requests) == 3


def test_no_answer_is_an_error(server: ScriptedServer, pauses: list[float]) -> None:
    """A server that does not answer is an error, because it may have either version."""
    with SyncClient(server.url, retries=1, timeout=0.5) as client:
        server.answer(server.silence)
        with pytest.raises(TransportError, match="did not answer in time"):
            client.protocol_for()
    assert server.asked(2)


def test_a_cut_answer_is_asked_for_again(server: ScriptedServer, pauses: list[float]) -> None:
    """The client asks again after a truncated answer."""
    with SyncClient(server.url, retries=1) as client:
        server.answer(_VERSION_2[:-5])
        with pytest.raises(IncompleteStreamError):
            client.capabilities()
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"{}"),
        reply(200, b'{"status": "ok"}'),
        reply(200, b'{"protocol": "2"}'),
        reply(200, b'{"protocol": 2, "tables": []}'),
        reply(200, b'{"protocol": 2, "tables_per_request": -1}'),
        reply(200, b'{"protocol": 2'),
        reply(200, b"[]"),
        reply(200, b""),
        reply(200, b"ok", kind="text/plain"),
        reply(200, b'{"protocol": 2, "tables": {"\xff": []}}'),
        reply(200, b'{"protocol": 2, "x": ' + b"[" * 100_000),
        until_closed(b'{"protocol": 2, "tables": {"a": []', kind="application/json"),
    ],
)
def test_another_answer_is_of_neither_version(server: ScriptedServer, client: SyncClient, answer: bytes) -> None:
    """Something that answers, but not as a sync server does, is an error about the URL."""
    server.answer(answer)
    with pytest.raises(ProtocolError, match="did not answer with what a sync server offers"):
        client.capabilities()


def test_a_later_version_is_refused(server: ScriptedServer, client: SyncClient) -> None:
    """A server of only version 3 is refused."""
    server.answer(reply(200, b'{"protocol": 3, "tables": "in some other way"}'))
    with pytest.raises(ProtocolError, match="version 3"):
        client.protocol_for()


def test_a_redirect_is_an_error(server: ScriptedServer, client: SyncClient) -> None:
    """A login page behind a redirect is not taken for version 1."""
    server.answer(reply(302, b"", {"Location": "https://host/login"}))
    with pytest.raises(SyncError, match="redirect"):
        client.protocol_for()


def test_an_endless_answer_is_stopped(server: ScriptedServer, client: SyncClient) -> None:
    """The size of the answer is limited."""
    body = gzip.compress(b'{"protocol": 2, "tables": {' + b" " * (17 << 20))
    server.answer(reply(200, body, {"Content-Encoding": "gzip"}))
    with pytest.raises(ProtocolError, match="more than 4194304 bytes"):
        client.capabilities()


@pytest.mark.parametrize("protocol", ["1", 1])
def test_version_1_is_not_asked_for(server: ScriptedServer, protocol: str | int) -> None:
    """With ``protocol: 1`` the client does not ask for capabilities."""
    server.answer(_VERSION_2)
    with SyncClient(server.url, protocol=protocol) as client:
        assert client.protocol_for() == 1
        assert client.capabilities() is None
    assert server.requests == []


@pytest.mark.parametrize("protocol", ["2", 2])
def test_version_2_is_demanded(server: ScriptedServer, protocol: str | int) -> None:
    """With ``protocol: 2`` the client does not fall back to version 1."""
    server.answer(_VERSION_2)
    with SyncClient(server.url, protocol=protocol) as client:
        assert client.protocol_for() == 2
    server.answer(reply(404))
    with SyncClient(server.url, protocol=protocol) as client, pytest.raises(ConfigurationError, match="only version 1"):
        client.protocol_for()


def test_the_configuration_says_which(server: ScriptedServer) -> None:
    """The client uses the protocol of ``client.yaml``; an unknown one is refused."""
    server.answer(_VERSION_2)
    for protocol, expected in (("auto", 2), (1, 1), ("2", 2)):
        with SyncClient.from_config(ClientConfig(url=server.url, protocol=protocol)) as client:
            assert client.protocol_for() == expected
    with pytest.raises(ConfigurationError, match="protocol is 3"):
        SyncClient(server.url, protocol=3)


def test_the_calls_of_version_1_do_not_ask(server: ScriptedServer, client: SyncClient) -> None:
    """Methods of version 1 send no request for capabilities."""
    server.answer(recorded("hash_ok"))
    assert client.get_table_hash("orders")
    assert [request.path for request in server.requests] == ["/api/sync/getTableHash"]


def test_further_answers_are_ignored(server: ScriptedServer, client: SyncClient) -> None:
    """Unknown fields of the capabilities are ignored."""
    offer = {**json.loads(msgspec.json.encode(_OFFER)), "limits": {"keys": 7}}
    server.answer(head(200, {"Content-Type": "application/json"}) + json.dumps(offer).encode())
    assert client.capabilities() == _OFFER
