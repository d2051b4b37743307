"""Tokens: who is let in, and what they see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, Token
from airflow_provider_sync.exceptions import ServerError
from airflow_provider_sync.server.access.tokens import Tokens
from airflow_provider_sync.server.http_errors import Unauthenticated
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import ask, config, post, run_sqlite, send


@pytest.fixture
def settings(tmp_path: Path) -> ServerConfig:
    """Two tables and two directories, for three tokens: one sees all, one has limits, one sees nothing."""
    run_sqlite(tmp_path / "source.db", "CREATE TABLE t (id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1);")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "a").write_text("a")
    return config(
        f"sqlite:///{tmp_path / 'source.db'}",
        tokens=[
            "all",
            {"token": "some", "tables": ["open"], "directories": ["files"]},
            {"token": "nöthing", "tables": [], "directories": []},
        ],
        tables={"open": {"table": "t"}, "closed": {"table": "t"}},
        directories={"files": {"path": str(tmp_path / "files")}, "private": {"path": str(tmp_path / "files")}},
    )


@pytest.fixture
def url(settings: ServerConfig) -> Iterator[str]:
    """Serve the settings."""
    with RunningServer(settings) as server:
        yield server.url


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer ", "Bearer wrong", "Bearer ALL", "Bearer all all", "Basic all", "all",
        "Bearer \udcff", "Bearer ä",
    ],
)  # fmt: skip
def test_refused(settings: ServerConfig, authorization: str | None) -> None:
    """Requests without one of the tokens, as a bearer token, are refused."""
    with pytest.raises(Unauthenticated):
        Tokens(settings).authenticate(authorization)


@pytest.mark.parametrize("authorization", ["Bearer all", "bearer all", "BEARER  all "])
def test_accepted(settings: ServerConfig, authorization: str) -> None:
    """A token is accepted for any spelling of its scheme."""
    grant = Tokens(settings).authenticate(authorization)
    assert grant.tables == {"open", "closed"}
    assert grant.directories == {"files", "private"}


def test_limits(settings: ServerConfig) -> None:
    """A token with limits sees only what they name."""
    tokens = Tokens(settings)
    assert tokens.authenticate("Bearer some").tables == {"open"}
    assert tokens.authenticate("Bearer some").directories == {"files"}
    # A header arrives as Latin-1, whatever it was.
    assert not tokens.authenticate("Bearer nöthing".encode().decode("latin-1")).tables


def test_no_tokens() -> None:
    """Without tokens in the configuration, every client sees everything."""
    open_to_all = config("sqlite://", tables={"t": {}})
    assert Tokens(open_to_all).authenticate(None).tables == {"t"}
    assert Tokens(open_to_all).authenticate("Bearer whatever").tables == {"t"}


@pytest.mark.parametrize(
    "path", ["/getTableHash", "/getTable", "/getFileHashes", "/getFiles", "/describeTable", "/digestRows", "/getRows"]
)
def test_every_endpoint_asks(url: str, path: str) -> None:
    """Without a token, no endpoint shows anything about names or fields."""
    for fields in ({}, {"config_name": "open"}, {"config_name": "nope"}):
        answer = post(url, path, fields)
        assert (answer.status, answer.body) == (401, b'{"message":"Unauthenticated."}')
        assert answer.headers["www-authenticate"] == "Bearer"
        assert post(url, path, fields, token="wrong").status == 401
    assert send(url, "POST", f"{path}?api_token=all&token=all").status == 401


@pytest.mark.parametrize(
    ("path", "name"),
    [("/getTableHash", "closed"), ("/getTable", "closed"), ("/getFileHashes", "private"), ("/getFiles", "private")],
)
def test_hidden_is_unknown(url: str, path: str, name: str) -> None:
    """The answer for what a token may not see equals that for a missing name, to the byte."""
    hidden = post(url, path, {"config_name": name, "files[0]": "a"}, token="some")
    unknown = post(url, path, {"config_name": "nope", "files[0]": "a"}, token="some")
    assert hidden.status == 422
    assert (hidden.status, hidden.body) == (unknown.status, unknown.body)
    assert {**hidden.headers, "date": ""} == {**unknown.headers, "date": ""}
    assert post(url, path, {"config_name": name, "files[0]": "a"}, token="all").status == 200


@pytest.mark.parametrize("path", ["/describeTable", "/digestRows", "/getRows"])
def test_hidden_is_unknown_to_version_2(url: str, path: str) -> None:
    """Version 2 hides it in the same way, whatever else is wrong with the request."""

    def body(name: str, further: str = "") -> bytes:
        partitioning = '"partitioning":{"scheme":"row_hash","segment_count":1},' if path == "/digestRows" else ""
        return f'{{{partitioning}"table_slice":{{"name":"{name}"{further}}}}}'.encode()

    for further in ("", ',"columns":["nope"]', ',"window":{"column":"id","start":"1","end":"2"}'):
        hidden = ask(url, path, body("closed", further), token="some")
        unknown = ask(url, path, body("nope", further), token="some")
        assert (hidden.status, hidden.body) == (422, b'{"config_name":["Config name not in sync-server.tables"]}')
        assert (hidden.status, hidden.body) == (unknown.status, unknown.body)
        assert {**hidden.headers, "date": ""} == {**unknown.headers, "date": ""}
    assert ask(url, path, body("closed"), token="all").status == 200


def test_capabilities(url: str) -> None:
    """The capabilities show each token only what it may see, and nothing without a token."""
    for token, tables, directories in (
        ("all", {"open": [], "closed": []}, ["files", "private"]),
        ("some", {"open": []}, ["files"]),
    ):
        answer = send(url, "GET", "/capabilities", headers={"Authorization": f"Bearer {token}"})
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert json.loads(answer.body) == {
            "protocol": 2,
            "tables": tables,
            "directories": directories,
            "compressions": ["zstd", "gzip"],
            "digests": ["pghash", "sha256"],
            "file_digests": ["blake3"],
            "tables_per_request": 200,
            "details": True,
            "snapshots": True,
            "described_rows": True,
            "named_keys": True,
        }
    for headers in ({}, {"Authorization": "Bearer wrong"}):
        answer = send(url, "GET", "/capabilities", headers=headers)
        assert (answer.status, answer.body) == (401, b'{"message":"Unauthenticated."}')


def test_health_needs_no_token(url: str) -> None:
    """``/health`` needs no token."""
    assert send(url, "GET", "/health").status == 200


def test_tokens_are_not_shown(settings: ServerConfig) -> None:
    """Printed values never show a token."""
    assert "some" not in repr(settings.tokens[1])


@pytest.mark.parametrize("token", ["schlüssel-ü", "ключ", "a b", "=+/~"])
def test_both_halves_agree_on_any_token(settings: ServerConfig, token: str) -> None:
    """A token of any letters is accepted from our client, and one that differs in a letter is not."""
    with RunningServer(settings.model_copy(update={"tokens": (Token(token=token),)})) as server:
        with SyncClient(server.url, token=token, retries=0) as client:
            client.ping()
        with SyncClient(server.url, token=f"{token}ü", retries=0) as client, pytest.raises(ServerError) as caught:
            client.ping()
    assert caught.value.status == 401
