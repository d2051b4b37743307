"""Limit how many requests an address may send in a minute, before anything else is done for them."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Collection

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_sync.server.access.addresses import client_address
from airflow_provider_sync.server.error_answers import refusal
from airflow_provider_sync.server.http_errors import TooManyOfAddress

_MINUTE = 60.0
_MAX_ADDRESSES = 4096


class Rates:
    """Count the requests of each address, in bounded memory, by the generic cell rate algorithm.

    Each request takes its share of a minute. An address may be a minute ahead, so that as many requests as one minute allows may
    come at once.

    :param per_minute: requests of one address
    :param clock: monotonic seconds
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = _MINUTE / per_minute
        self._clock = clock
        self._used_until: OrderedDict[str, float] = OrderedDict()

    def take(self, address: str) -> float:
        """Count a request if it may be answered now: return 0, or in how many seconds it may."""
        now = self._clock()
        used = max(now, self._used_until.pop(address, now)) + self._share
        # The share is added so often that its rounding shows.
        wait = used - now - _MINUTE - self._share / 1000
        self._used_until[address] = used if wait <= 0 else used - self._share
        if len(self._used_until) > _MAX_ADDRESSES:
            self._used_until.popitem(last=False)
        return max(0.0, wait)


class RequestRates:
    """ASGI middleware that answers 429 to an address that sends too many requests.

    :param app: handles all other requests
    :param per_minute: requests of one address
    :param free: paths that do not count
    """

    def __init__(self, app: ASGIApp, *, per_minute: int, free: Collection[str] = ()) -> None:
        self._app = app
        self._per_minute = per_minute
        self._free = frozenset(free)
        self._rates = Rates(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and scope["path"] not in self._free:
            client = Request(scope).client
            seconds = self._rates.take(client_address(client.host if client else None))
            if seconds:
                error = TooManyOfAddress(self._per_minute, math.ceil(seconds))
                await refusal(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
