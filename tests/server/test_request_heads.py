"""Requests that are refused by their head alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import Answer, config, run_sqlite, send

PATHS = [("GET", "/health"), ("GET", "/capabilities"), ("POST", "/getTable"), ("POST", "/getRows"), ("GET", "/nope")]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve without tokens."""
    run_sqlite(tmp_path / "source.db", "CREATE TABLE secret (id INTEGER PRIMARY KEY)")
    with RunningServer(config(f"sqlite:///{tmp_path / 'source.db'}", tables={"secret": {}})) as server:
        yield server.url


def ask(url: str, method: str, path: str, **headers: str) -> Answer:
    """Send a request with other headers than its own."""
    return send(url, method, path, headers=headers)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8765", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.1", "0.0.0.0",
        "[2001:db8::1]:80", "localhost@evil.example", "", " ", "[::1", "evil\x1b[2J", "xn--lcalhost-6fb", "localhosts",
    ],
)  # fmt: skip
def test_names_of_others(url: str, host: str) -> None:
    """Without tokens, a request to another host name gets no information."""
    answers = [ask(url, method, path, Host=host) for method, path in PATHS]
    assert {answer.status for answer in answers} == {421}
    for answer in answers:
        assert "allowed_hosts" in json.loads(answer.body)["message"]
        assert b"secret" not in answer.body
        assert b"\x1b" not in answer.body


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:99", "localhost.", "127.0.0.1", "127.9.9.9:1", "[::1]", "[::1]:8765"])
def test_own_names(url: str, host: str) -> None:
    """Every name of this machine is allowed."""
    assert ask(url, "GET", "/capabilities", Host=host).status == 200


def test_pages_of_others(url: str) -> None:
    """A request that a browser sends for another site's page is refused."""
    for origin in ("https://evil.example", "null", "http://evil.example:8765"):
        assert ask(url, "POST", "/getTableHash", Origin=origin).status == 403
    assert ask(url, "GET", "/capabilities", Origin="http://localhost:3000").status == 200


def test_heads_have_a_limit(url: str) -> None:
    """A head above 16 KB is refused; one just below is answered."""
    assert ask(url, "GET", "/capabilities", Cookie="x" * 16_000).status == 200
    for answer in (
        ask(url, "GET", "/health", Cookie="x" * 16_400),
        ask(url, "GET", f"/capabilities?{'x' * 16_400}"),
        ask(url, "GET", "/capabilities", **{f"X-{number}": "x" * 100 for number in range(180)}),
    ):
        assert (answer.status, answer.headers["connection"]) == (431, "close")
        assert b"16384 bytes" in answer.body


def test_further_names(tmp_path: Path) -> None:
    """Names in the configuration are allowed, in addition to this machine's names."""
    with RunningServer(config(allowed_hosts=["Sync.Example"])) as server:
        assert ask(server.url, "GET", "/health", Host="sync.example:80").status == 200
        assert ask(server.url, "GET", "/health", Host="localhost").status == 200
        assert ask(server.url, "GET", "/health", Host="evil.example").status == 421


def test_tokens_and_names() -> None:
    """With tokens, any name is allowed, unless the configuration lists names."""
    with RunningServer(config(tokens=["secret"])) as server:
        assert ask(server.url, "GET", "/health", Host="sync.example").status == 200
    with RunningServer(config(tokens=["secret"], allowed_hosts=["sync.example"])) as server:
        assert ask(server.url, "GET", "/health", Host="sync.example").status == 200
        assert ask(server.url, "GET", "/health", Host="evil.example").status == 421


def test_the_address_that_was_given() -> None:
    """The name on which the server listens is allowed."""
    with RunningServer(config(), host="127.0.0.2") as server:
        assert send(server.url, "GET", "/health").status == 200
