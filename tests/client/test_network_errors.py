"""What users read of the errors of the libraries below, whose names mean nothing to them."""

from __future__ import annotations

import http.client
import re
from pathlib import Path

import pytest
import requests
import urllib3

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.network_errors import body_errors, request_errors
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError, IncompleteStreamError, ServerError, SyncError, TransportError
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.client.scripted_server import ScriptedServer, reply, stream
from tests.server.process.certificates import Authority

URL = "https://source.example/getTable"
CLASS_NAME = re.compile(r"[A-Z][a-z]+[A-Z]\w*|\w*(Error|Exception)\b")
CONNECTION = urllib3.connection.HTTPSConnection("source.example")
ERRORS = [
    ValueError("invalid literal for int() with base 16: b'zz'"),
    ValueError(),
    KeyError("x"),
    OverflowError(),
    http.client.IncompleteRead(b"12", 5),
    http.client.RemoteDisconnected("Remote end closed connection without response"),
    http.client.BadStatusLine("SSH-2.0"),
    http.client.LineTooLong("header line"),
    http.client.HTTPException("got more than 100 headers"),
    ConnectionResetError(104, "Connection reset by peer"),
    ConnectionError(),
    urllib3.exceptions.IncompleteRead(2, 5),
    urllib3.exceptions.DecodeError("Received response with content-encoding: gzip"),
    urllib3.exceptions.ProtocolError("Connection broken", http.client.IncompleteRead(b"12", 5)),
    urllib3.exceptions.NewConnectionError(CONNECTION, "Failed to establish a new connection"),
    urllib3.exceptions.SSLError("wrong version number"),
    urllib3.exceptions.HTTPError(),
]


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_no_class_is_named(error: Exception) -> None:
    """Any network failure is described in words, without the name of a class."""
    for translating, raised in (
        (body_errors, error),
        (request_errors, error),
        (request_errors, requests.exceptions.ConnectionError(error)),
    ):
        with pytest.raises(SyncError) as caught, translating(URL):
            raise raised
        said = str(caught.value).replace(URL, "")
        assert not CLASS_NAME.search(said), said
        assert "()" not in said


@pytest.mark.parametrize(
    ("proxy", "kind"),
    [
        ("http://user:secret@127.0.0.1:9", TransportError),
        ("foo://secret", ConfigurationError),
        ("http://[secret", ConfigurationError),
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_does_not_answer(monkeypatch: pytest.MonkeyPatch, proxy: str, kind: type[SyncError], scheme: str) -> None:
    """If the environment names a proxy, the error says so, but not its URL, which may have a password."""
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    with (
        SyncClient(f"{scheme}://source.example/", retries=0) as client,
        pytest.raises(kind, match="add the host to NO_PROXY") as caught,
    ):
        client.capabilities()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind", "said"),
    [
        (407, ServerError, r"wants a user and a password .*HTTPS_PROXY"),
        (502, TransportError, "refused to connect, with status 502"),
    ],
)
def test_a_proxy_that_does_not_connect(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, status: int, kind: type[SyncError], said: str
) -> None:
    """If a proxy refuses to connect to a TLS server, the error has the status; for 407 it says where the password belongs."""
    server.answer(reply(status))
    monkeypatch.setenv("https_proxy", server.url.removesuffix("/api/sync"))
    with SyncClient("https://source.example/", retries=0) as client, pytest.raises(kind, match=said) as caught:
        client.capabilities()
    assert caught.value.retryable is (status == 502)


@pytest.mark.parametrize("status", [200, 204, 403, 404, 503, 504])
@pytest.mark.parametrize("proxied", [True, False], ids=["proxy", "no proxy"])
def test_a_proxy_that_answers_itself(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, status: int, proxied: bool) -> None:
    """If the environment's proxy refuses a request with a page of its own, the error says that there is a proxy."""
    server.answer(reply(status, b"<html>Access denied by policy</html>" if status != 204 else b""))
    url = server.url.removesuffix("/api/sync")
    if proxied:
        monkeypatch.setenv("http_proxy", url)
        url = "http://source.example/"
    with SyncClient(url, retries=0, protocol=2) as client, pytest.raises(SyncError) as caught:
        client.get_table("orders")
    assert ("HTTP_PROXY" in str(caught.value) and "NO_PROXY" in str(caught.value)) is proxied


def test_a_server_that_answers_through_a_proxy(server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a sync server refuses is not blamed on the environment's proxy."""
    server.answer(reply(503, b'{"message": "The database is down."}'))
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/api/sync"))
    with SyncClient("http://source.example/", retries=0) as client, pytest.raises(ServerError, match="is down") as caught:
        client.get_table_hash("orders")
    assert "PROXY" not in str(caught.value)


@pytest.mark.parametrize("content", ["", "no certificate", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"])
def test_a_bundle_without_certificates(server: ScriptedServer, tmp_path: Path, content: str) -> None:
    """A file that is not a bundle of authorities is an error that says so and is not retried."""
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(content)
    url = server.url.replace("http:", "https:")
    with SyncClient(url, verify=str(bundle)) as client, pytest.raises(ConfigurationError, match="in PEM format as `verify`"):
        client.capabilities()


def test_what_else_was_handled_is_no_reason() -> None:
    """A refused connection is reported as such, also while another error is being handled."""
    refused = ConnectionRefusedError(111, "Connection refused")
    refused.__context__ = LookupError("no table of this name in the target")
    with pytest.raises(SyncError, match="Connection refused"), request_errors(URL):
        raise requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("Connection aborted.", refused))


def test_an_answer_that_was_cut(server: ScriptedServer) -> None:
    """A chunked answer whose connection ends is called incomplete at any place, and is transient."""
    whole = stream(b"{" + bytes(2500), {"Content-Type": "application/json"}, end=False)
    for answer in (whole, whole[:-2], whole[:-700], whole[: whole.index(b"\r\n\r\n") + 4]):
        server.answer(answer)
        with SyncClient(server.url, retries=0) as client, pytest.raises(IncompleteStreamError) as caught:
            client.capabilities()
        assert re.search(r"broke off: it ended before it was complete\. Try again\.$", str(caught.value)), len(answer)


def test_a_url_without_tls(tmp_path: Path) -> None:
    """If the URL has the wrong scheme for the server, with or without TLS, the error names the correct one."""
    images = {"directories": {"images": {"path": str(tmp_path)}}}
    authority = Authority(tmp_path)
    encrypted = {"tls": {"certificate": str(authority.sign("server"))}}
    with (
        RunningServer(ServerConfig.from_dict(images)) as plain,
        RunningServer(ServerConfig.from_dict({**images, **encrypted})) as tls,
    ):
        for url, right in ((plain.url.replace("http:", "https:"), "http://"), (tls.url.replace("https:", "http:"), "https://")):
            with (
                SyncClient(url, retries=0, verify=str(authority.path)) as client,
                pytest.raises(TransportError, match=rf"its URL begins with {right}\."),
            ):
                client.capabilities()
