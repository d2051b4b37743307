"""The account of a request that does not end as it should."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from starlette.types import Receive, Scope, Send

from airflow_provider_sync.server.observability.accounting import Accounting
from airflow_provider_sync.server.observability.request_account import RequestAccount, account_of

App = Callable[[Scope, Receive, Send], Awaitable[None]]


def account_after(app: App) -> tuple[RequestAccount, list[int]]:
    """Return the account of one request to an application, and the changes of the number of open streams."""
    accounts: list[RequestAccount] = []
    streams: list[int] = []

    async def nothing(*_: Any) -> None:
        pass

    async def request() -> None:
        counted = Accounting(app, observers=[lambda _, account: accounts.append(account)], on_stream=streams.append)
        await counted({"type": "http"}, nothing, nothing)  # type: ignore[arg-type]  # it receives nothing

    anyio.run(request)
    return accounts[0], streams


async def breaks_off(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Begin an answer, and leave it."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"abc", "more_body": True})


async def leaves(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Answer nothing, since nobody is there."""


async def whole(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in two pieces."""
    await breaks_off(scope, receive, send)
    await send({"type": "http.response.body", "body": memoryview(b"de")})
    account_of(scope).about_table("t")


@pytest.mark.parametrize(
    ("app", "expected", "streams"),
    [(breaks_off, (200, 3, False, False), [1, -1]), (leaves, (499, 0, False, False), []), (whole, (200, 5, True, True), [1, -1])],
)
def test_ends(app: App, expected: tuple[int, int, bool, bool], streams: list[int]) -> None:
    """Status, bytes and completeness are those of the sent answer; every opened stream is closed."""
    account, changes = account_after(app)
    assert (account.status, account.bytes_sent, account.complete, account.has_content) == expected
    assert changes == streams


def test_a_bug() -> None:
    """An error that leaves the application counts as 500, and is passed on to the server."""
    accounts: list[RequestAccount] = []

    async def fails(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise ZeroDivisionError

    async def nothing(*_: Any) -> None:
        pass

    async def request() -> None:
        counted = Accounting(fails, observers=[lambda _, account: accounts.append(account)])
        await counted({"type": "http"}, nothing, nothing)  # type: ignore[arg-type]  # it receives nothing

    with pytest.raises(ZeroDivisionError):
        anyio.run(request)
    assert (accounts[0].status, accounts[0].error) == (500, "ZeroDivisionError")
