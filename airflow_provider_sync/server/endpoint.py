"""Handle one request: check its token, admit it, read its body, and send the response."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import anyio
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from airflow_provider_sync.databases.lock_waits import LockWaits
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol import content_digest, lock_wait
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.access.token_check import Access
from airflow_provider_sync.server.active_requests import ActiveRequest, ActiveRequests, ClientGone
from airflow_provider_sync.server.http_errors import RequestDamaged, RequestTooLarge, RequestTooSlow
from airflow_provider_sync.server.observability.request_account import account_of
from airflow_provider_sync.server.stall_limit import StallLimit

log = logging.getLogger(__name__)

Answer = Callable[[Request, bytes, Grant, ActiveRequest], Response]
"""Makes the response to a request from its body; runs in a thread."""


class Endpoint:
    """An ASGI application that answers at one path.

    :ivar name: name of the endpoint, in its path and in the log
    :param answer: makes the response
    :param access: checks the token
    :param active_requests: limits the number of active requests
    :param max_bytes: maximum size, in bytes, of a request's body
    :param of: the items that a client should request fewer of if its body is too large, such as ``files``
    """

    def __init__(
        self, name: str, answer: Answer, access: Access, active_requests: ActiveRequests, *, max_bytes: int, of: str
    ) -> None:
        self.name = name
        self._answer = answer
        self._access = access
        self._active_requests = active_requests
        self._max_bytes = max_bytes
        self._of = of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request; when its client disconnects, stop all work for it."""
        account = account_of(scope)
        account.endpoint = self.name
        request = Request(scope, receive, send)
        grant = await self._access.grant(request)
        with self._active_requests.admit(account) as active:
            active.lock_waits = LockWaits(first=lock_wait.requested_wait(request.headers.get(lock_wait.HEADER)))
            try:
                body = await self._read(request, active)
                if not content_digest.is_intact(request.headers.get(content_digest.HEADER), body):
                    raise RequestDamaged
                # Parsing, databases and files block, so they run outside the event loop.
                answer = partial(self._answer, request, body, grant, active)
                response = await active.attend(receive, partial(active.in_thread, answer))
                await response(scope, receive, send)
            except (ClientDisconnect, ClientGone):
                # Not an error: a client may disconnect when it needs no more of a response.
                # The access log says `complete=false`.
                log.debug("%s: the client disconnected", printable(scope["path"]))

    async def _read(self, request: Request, active: ActiveRequest) -> bytes:
        body = bytearray()
        patience = StallLimit(active.limits)
        chunks = aiter(request.stream())
        while True:
            began = anyio.current_time()
            with anyio.move_on_after(patience.allowed()) as waiting:
                chunk = await anext(chunks, None)
            if waiting.cancelled_caught:
                raise RequestTooSlow(active.limits.stall_seconds)
            if chunk is None:
                return bytes(body)
            patience.took(anyio.current_time() - began, len(chunk))
            body += chunk
            active.body.grows_to(len(body))
            if len(body) > self._max_bytes:
                raise RequestTooLarge(self._max_bytes, self._of)
