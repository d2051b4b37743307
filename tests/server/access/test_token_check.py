"""Wrong tokens: logged, and answered ever later; the right one never waits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from starlette.requests import Request

from airflow_provider_sync.server.access import refusal_delays
from airflow_provider_sync.server.access.refusal_delays import FREE_TRIES
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.wire import config, own_lines, post, send


@pytest.fixture
def url() -> Iterator[str]:
    """Serve with a token."""
    with RunningServer(config(tokens=["right"])) as server:
        yield server.url


def test_a_wrong_token(url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Wrong tokens are logged with address and endpoint but without the token, and delayed; the correct one is not."""
    waited: list[float] = []

    async def wait(request: Request, seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(refusal_delays, "wait_for_refused", wait)
    for _ in range(FREE_TRIES + 3):
        answer = post(url, "/getTable", token="wrong-token")
        assert (answer.status, answer.body) == (401, b'{"message":"Unauthenticated."}')
        assert send(url, "GET", "/capabilities", headers={"Authorization": "Bearer right"}).status == 200
    assert len(waited) == 3
    assert waited == sorted(waited)
    [line] = own_lines(caplog)
    assert line == "/getTable: refused a request from 127.0.0.1, which has a wrong token"
    assert "wrong-token" not in caplog.text


def test_no_token(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """A request without a token is logged as such."""
    assert post(url, "/getRows").status == 401
    assert "/getRows: refused a request from 127.0.0.1, which has no token" in caplog.text


def test_behind_a_proxy(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """The client's address is the one that a proxy on this machine sends."""
    headers = {"Authorization": "Bearer wrong", "X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
    assert send(url, "GET", "/capabilities", headers=headers).status == 401
    assert "refused a request from 198.51.100.7" in caplog.text


@pytest.mark.parametrize("token", ["schlüssel-ü", "ключ", "鍵"])
def test_tokens_beyond_ascii(token: str) -> None:
    """A token may have any letters, in any encoding of the client."""
    with RunningServer(config(tokens=[token])) as server:
        encodings = ["utf-8", "latin-1"] if token.isascii() or max(token) < "\u0100" else ["utf-8"]
        for encoding in encodings:
            header = f"Bearer {token}".encode(encoding).decode("latin-1")
            assert send(server.url, "GET", "/capabilities", headers={"Authorization": header}).status == 200
        assert send(server.url, "GET", "/capabilities", headers={"Authorization": "Bearer schl\xfcssel"}).status == 401
