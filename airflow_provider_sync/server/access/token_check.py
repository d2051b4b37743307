"""Check the token of each request, and delay the answers to wrong ones, ever longer for the same address.

A request with a valid token is never delayed, whatever others have tried from its address, so that nobody can lock out a client.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import anyio
from starlette.requests import Request

from airflow_provider_sync.printable import printable
from airflow_provider_sync.server.access.addresses import client_address
from airflow_provider_sync.server.access.expiry_warnings import ExpiryWarnings
from airflow_provider_sync.server.access.grants import Grant, Tokens
from airflow_provider_sync.server.http_errors import TooManyRefused, Unauthenticated
from airflow_provider_sync.server.observability.request_account import account_of
from airflow_provider_sync.server.rate_limited_log import RateLimitedLog

log = logging.getLogger(__name__)

AUTHORISED = "sync.authorised"
"""Key in ``extensions`` of an ASGI scope: a function to call once a request has shown a valid token."""

FREE_TRIES = 5
"""Refusals per address that are answered without delay: a mistake in a configuration is not an attack."""

MAX_DELAY_SECONDS = 5.0
"""Longest delay of an answer to a wrong token, in seconds."""

FORGET_SECONDS = 300.0
"""Seconds after its last refusal when an address is forgotten."""

_DELAY_SECONDS = 0.1
_MAX_ADDRESSES = 4096
_MAX_DELAYED = 256


class Refusals:
    """Count the recent refusals of each address, in bounded memory.

    :param clock: monotonic seconds
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def count(self, address: str) -> float:
        """Count a refusal, and return by how many seconds to delay its answer."""
        now = self._clock()
        count, last = self._counts.pop(address, (0, now))
        count = 1 if now - last > FORGET_SECONDS else count + 1
        self._counts[address] = count, now
        if len(self._counts) > _MAX_ADDRESSES:
            self._counts.popitem(last=False)
        doublings = count - FREE_TRIES - 1
        # The power of a large number would take long to compute.
        return 0.0 if doublings < 0 else min(MAX_DELAY_SECONDS, _DELAY_SECONDS * 2.0 ** min(doublings, 32))


class Access:
    """Checks the token of each request.

    :param tokens: the valid ones
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._refusals = Refusals()
        self._notices = RateLimitedLog(log)
        self._delayed = 0
        self._expiry = ExpiryWarnings()
        for grant in tokens.grants:
            self._expiry.warn(grant)

    async def grant(self, request: Request) -> Grant:
        """Return what the sender of a request may see.

        :raises Unauthenticated: after the delay, without a valid token
        :raises TooManyRefused: without a valid token, when too many such answers are already delayed
        """
        host = request.client.host if request.client else None
        try:
            grant = await self._tokens.grant(request.headers.get("authorization"), host)
        except Unauthenticated as error:
            await self.hold_back(request, error)
            raise
        account_of(request.scope).token = grant.name
        self._expiry.warn(grant)
        authorised = request.scope.get("extensions", {}).get(AUTHORISED)
        if authorised is not None:
            authorised()
        return grant

    async def grant_if_any(self, request: Request) -> Grant | None:
        """Return what the sender of a request may see; ``None`` without a token, where one is needed.

        :raises Unauthenticated: as :meth:`grant`, with a token that does not count
        """
        if self._tokens.required and "authorization" not in request.headers:
            return None
        return await self.grant(request)

    async def hold_back(self, request: Request, refused: Unauthenticated) -> None:
        """Delay the answer to a wrong token.

        :raises TooManyRefused: when too many such answers are already delayed
        """
        sent = refused.reason
        account_of(request.scope).refused = True
        address = client_address(request.client.host if request.client else None)
        path = printable(request.scope["path"], 100)
        self._notices.warn(f"{address} {sent}", "%s: refused a request from %s, which has %s", path, address, sent)
        delay = self._refusals.count(address)
        if not delay:
            return
        if self._delayed >= _MAX_DELAYED:
            raise TooManyRefused
        self._delayed += 1
        try:
            await wait_for_refused(request, delay)
        finally:
            self._delayed -= 1


async def wait_for_refused(request: Request, seconds: float) -> None:
    """Wait before a refusal is sent; end early when the client disconnects."""
    with anyio.move_on_after(seconds):
        while (await request.receive())["type"] != "http.disconnect":
            pass
