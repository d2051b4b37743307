"""Delay the responses to wrong tokens, longer each time for the same address, and log them."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

import anyio
from starlette.requests import Request

from airflow_provider_sync.printable import printable
from airflow_provider_sync.server.access.addresses import client_address
from airflow_provider_sync.server.http_errors import TooManyRefused, Unauthenticated
from airflow_provider_sync.server.observability.rate_limited_log import RateLimitedLog
from airflow_provider_sync.server.observability.request_account import account_of

log = logging.getLogger(__name__)

FREE_TRIES = 5
"""Number of refusals per address without a delay: a configuration mistake is not an attack."""

MAX_DELAY_SECONDS = 5.0
"""Maximum delay of a response to a wrong token, in seconds."""

FORGET_SECONDS = 300.0
"""Seconds after its last refusal at which an address is forgotten."""

_DELAY_SECONDS = 0.1
_MAX_ADDRESSES = 4096
_MAX_DELAYED = 256


class RefusalDelays:
    """Counts the recent refusals of each address, in bounded memory, and delays the next ones.

    :param clock: monotonic seconds
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._notices = RateLimitedLog(log)
        self._delayed = 0

    def count(self, address: str) -> float:
        """Count a refusal, and return the delay of its response, in seconds."""
        now = self._clock()
        count, last = self._counts.pop(address, (0, now))
        count = 1 if now - last > FORGET_SECONDS else count + 1
        self._counts[address] = count, now
        if len(self._counts) > _MAX_ADDRESSES:
            self._counts.popitem(last=False)
        doublings = count - FREE_TRIES - 1
        # The exponent is limited, since a huge power would take long to compute.
        return 0.0 if doublings < 0 else min(MAX_DELAY_SECONDS, _DELAY_SECONDS * 2.0 ** min(doublings, 32))

    async def hold_back(self, request: Request, refused: Unauthenticated) -> None:
        """Delay the response to a wrong token.

        :raises TooManyRefused: if too many such responses are already delayed
        """
        sent = refused.reason
        account_of(request.scope).refused = True
        address = client_address(request.client.host if request.client else None)
        path = printable(request.scope["path"], 100)
        self._notices.warn(f"{address} {sent}", "%s: refused a request from %s, which has %s", path, address, sent)
        delay = self.count(address)
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
