"""Limit the number of requests per minute from one address, before any other work is done for them."""

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

    Each request uses its share of a minute. An address may be a minute ahead, so that a burst of a whole minute's requests is
    allowed. Refused requests get different times for a retry, one share apart, so that the retries are not refused again.

    :param per_minute: maximum number of requests per minute and address
    :param clock: monotonic seconds
    """

    def __init__(self, per_minute: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._share = _MINUTE / per_minute
        self._clock = clock
        # For each address: the time up to which its allowance is used, and the last retry time that was sent.
        self._addresses: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str) -> float:
        """Count a request and return 0 if it is allowed now; else return the seconds until it is, at most 60."""
        now = self._clock()
        used_until, retry_at = self._addresses.pop(address, (now, now))
        used = max(now, used_until) + self._share
        # Tolerance for rounding, since the share is added many times.
        due = used - _MINUTE - self._share / 1000
        if due > now:
            used, retry_at = used_until, min(max(due, retry_at + self._share), now + _MINUTE)
        self._addresses[address] = used, retry_at
        if len(self._addresses) > _MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return retry_at - now if due > now else 0.0


class RequestRates:
    """ASGI middleware that answers 429 to an address that sends too many requests.

    :param app: handles all other requests
    :param per_minute: maximum number of requests per minute and address
    :param free: paths that are not limited, relative to the path at which this application is mounted
    """

    def __init__(self, app: ASGIApp, *, per_minute: int, free: Collection[str] = ()) -> None:
        self._app = app
        self._per_minute = per_minute
        self._free = frozenset(free)
        self._rates = Rates(per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        # Where another application mounts this one, its prefix stands before the path.
        if scope["type"] == "http" and scope["path"].removeprefix(scope.get("root_path", "")) not in self._free:
            client = Request(scope).client
            seconds = self._rates.take(client_address(client.host if client else None))
            if seconds:
                error = TooManyOfAddress(self._per_minute, math.ceil(seconds))
                await refusal(scope, error)(scope, receive, send)
                return
        await self._app(scope, receive, send)
