"""Keep the account of each request, and pass it to observers when the last byte of the response has been sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from airflow_provider_sync.server.observability.request_account import RequestAccount, begin_account

Observer = Callable[[Scope, RequestAccount], None]
"""Called for each request when it is over."""


class Accounting:
    """ASGI middleware, the outermost one. It does not change bodies.

    :param app: handles the requests
    :param observers: called for each request when it is over; they must not fail
    :param on_stream: called with 1 when the response to a request begins, and with -1 when it has ended
    """

    def __init__(self, app: ASGIApp, *, observers: Sequence[Observer], on_stream: Callable[[int], None] = lambda _: None) -> None:
        self._app = app
        self._observers = observers
        self._on_stream = on_stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, then call the observers."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        account = begin_account(scope)
        began = False

        async def counted(message: Message | dict[str, Any]) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                account.status = message["status"]
                began = True
                self._on_stream(1)
                await send(message)
                return
            await send(message)
            if message["type"] == "http.response.body":
                account.bytes_sent += len(message.get("body", b""))
                account.complete = not message.get("more_body", False)

        try:
            await self._app(scope, receive, counted)
        except BaseException as error:
            account.failed(error)
            if not began and isinstance(error, Exception):
                # The framework, outside of this middleware, responds with 500.
                account.status = 500
            raise
        finally:
            if began:
                self._on_stream(-1)
            for observe in self._observers:
                observe(scope, account)
