"""Tokens that count only for a while, or only from some addresses, and tokens of which the server has only the SHA-256."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.tokens import token_digest
from airflow_provider_sync.server.access.expiry_warnings import ExpiryWarnings
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.access.tokens import Tokens
from airflow_provider_sync.server.http_errors import Unauthenticated
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import Answer, own_lines, send

NOW = datetime(2027, 1, 31, 12, tzinfo=UTC)


def tokens(*entries: dict[str, object], now: datetime = NOW) -> Tokens:
    """Make tokens at a moment."""
    return Tokens(ServerConfig.from_dict({"tokens": list(entries)}), now=lambda: now)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """Serve with a token of each kind."""
    settings = [
        {"name": "hashed", "token_sha256": token_digest("schlüssel"), "directories": []},
        {"name": "old", "token": "old", "expires": "2020-01-31"},
        {"name": "new", "token": "new", "expires": "9999-12-31"},
        {"name": "elsewhere", "token": "token-for-elsewhere", "addresses": ["192.0.2.0/24", "2001:db8::/32"]},
    ]
    with RunningServer(ServerConfig.from_dict({"tokens": settings, "directories": {"d": {"path": str(tmp_path)}}})) as server:
        yield server.url


def ask(url: str, token: str, **headers: str) -> Answer:
    """Ask what there is."""
    return send(url, "GET", "/capabilities", headers={"Authorization": f"Bearer {token}", **headers})


def test_a_token_of_which_the_server_has_the_digest(url: str) -> None:
    """A token is valid if the server has its SHA-256; the SHA-256 itself is not a valid token."""
    for encoding in ("utf-8", "latin-1"):
        answer = ask(url, "schlüssel".encode(encoding).decode("latin-1"))
        assert answer.status == 200
        assert b'"directories":[]' in answer.body
    assert ask(url, token_digest("schlüssel")).status == 401


def test_an_expired_token(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The answer to an expired token equals that to a wrong one, to the byte; only the log says more."""
    caplog.clear()
    expired, wrong = ask(url, "old"), ask(url, "wrong")
    assert (expired.status, expired.body) == (wrong.status, wrong.body) == (401, b'{"message":"Unauthenticated."}')
    assert {**expired.headers, "date": ""} == {**wrong.headers, "date": ""}
    assert own_lines(caplog)[0] == (
        "/capabilities: refused a request from 127.0.0.1, which has the token 'old', which expired on 2020-01-31 at 23:59 UTC"
    )


def test_two_tokens_at_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A new token is valid beside the old one, and stays valid when the old one expires."""
    assert [ask(url, token).status for token in ("new", "old", "new")] == [200, 401, 200]


def test_the_end_of_a_token() -> None:
    """A token is valid to the last moment of its day in UTC, and not after it."""
    entry = {"token": "a", "expires": "2027-01-31"}
    end = datetime(2027, 2, 1, tzinfo=UTC)
    assert tokens(entry, now=end - timedelta(microseconds=1)).authenticate("Bearer a").name == "tokens[0]"
    with pytest.raises(Unauthenticated):
        tokens(entry, now=end).authenticate("Bearer a")


def test_a_token_from_another_address(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A token with addresses is valid only from there, also behind a trusted proxy; elsewhere it counts as wrong."""
    assert ask(url, "token-for-elsewhere").status == 401
    assert "the token 'elsewhere', which may not be used from there, only from 192.0.2.0/24, 2001:db8::/32" in caplog.text
    assert ask(url, "token-for-elsewhere", **{"X-Forwarded-For": "192.0.2.9"}).status == 200
    assert ask(url, "token-for-elsewhere", **{"X-Forwarded-For": "2001:db8::9"}).status == 200
    # A client may send any first address; the last one is the proxy's.
    assert ask(url, "token-for-elsewhere", **{"X-Forwarded-For": "192.0.2.9, 198.51.100.7"}).status == 401


def test_addresses_of_proxies_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """X-Forwarded-For counts only from the networks in FORWARDED_ALLOW_IPS."""
    config = ServerConfig.from_dict({"tokens": [{"token": "a", "addresses": ["192.0.2.0/24"]}]})
    for believed, expected in (("10.0.0.0/8", 401), ("10.0.0.0/8,127.0.0.0/8", 200)):
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", believed)
        with RunningServer(config) as server:
            assert ask(server.url, "a", **{"X-Forwarded-For": "192.0.2.9"}).status == expected


@pytest.mark.parametrize(
    ("host", "counts"),
    [
        ("192.0.2.9", True), ("::ffff:192.0.2.9", True), ("2001:db8:0:5::9", True), ("fe80::1%eth0", True),
        ("192.0.3.9", False), ("2001:db9::9", False), (None, False), ("", False), ("testclient", False),
    ],
)  # fmt: skip
def test_addresses(host: str | None, counts: bool) -> None:
    """Networks of both families match addresses; a sender without an address is in none."""
    known = tokens({"token": "a", "addresses": ["192.0.2.0/24", "2001:db8::/32", "fe80::/10"]})
    if counts:
        known.authenticate("Bearer a", host)
    else:
        with pytest.raises(Unauthenticated):
            known.authenticate("Bearer a", host)


def test_warnings_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """In the last two weeks of a token, the log has one line a day with its name."""
    expires = NOW + timedelta(days=15)
    grants = [Grant(frozenset(), frozenset(), caller=name.encode(), name=name, expires=expires) for name in ("berlin", "bonn")]
    clock = [NOW]
    warnings = ExpiryWarnings(now=lambda: clock[0])
    lines = []
    for hours in (0, 25, 26, 47, 50, 24 * 15 - 1, 24 * 15 + 24):
        clock[0] = NOW + timedelta(hours=hours)
        caplog.clear()
        for grant in grants:
            warnings.warn(grant)
        lines.append([line.partition(". ")[0] for line in own_lines(caplog)])
    assert lines == [
        [],
        [f"The token {name!r} expires on 2027-02-15 at 12:00 UTC, in 13 days" for name in ("berlin", "bonn")],
        [],
        [],
        [f"The token {name!r} expires on 2027-02-15 at 12:00 UTC, in 12 days" for name in ("berlin", "bonn")],
        [f"The token {name!r} expires on 2027-02-15 at 12:00 UTC, in less than a day" for name in ("berlin", "bonn")],
        [f"The token {name!r} expired on 2027-02-15 at 12:00 UTC, and is refused" for name in ("berlin", "bonn")],
    ]


def test_the_server_warns(caplog: pytest.LogCaptureFixture) -> None:
    """At its start, a server logs once which tokens expire soon or have expired, also if they are used."""
    soon = datetime.now(UTC) + timedelta(days=3, hours=1)
    entries = [{"token": "a", "expires": soon, "name": "soon"}, {"token": "b", "expires": "2020-01-31"}, "c"]
    with RunningServer(ServerConfig.from_dict({"tokens": entries})) as server:
        for _ in range(2):
            assert ask(server.url, "a").status == 200
    lines = own_lines(caplog)
    assert len(lines) == 2
    assert lines[0].startswith("The token 'soon' expires on ")
    assert "in 3 days. Make a new one with 'airflow-sync token new'" in lines[0]
    assert lines[1].startswith("The token 'tokens[1]' expired on 2020-01-31 at 23:59 UTC, and is refused.")
