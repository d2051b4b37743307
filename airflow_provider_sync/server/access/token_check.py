"""Check the token of each request.

A request with a valid token is never delayed, even after wrong tokens from the same address, so nobody can lock out a client.
"""

from __future__ import annotations

from starlette.requests import Request

from airflow_provider_sync.server.access.expiry_warnings import ExpiryWarnings
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.access.refusal_delays import RefusalDelays
from airflow_provider_sync.server.access.tokens import Tokens
from airflow_provider_sync.server.http_errors import Unauthenticated
from airflow_provider_sync.server.observability.request_account import account_of

AUTHORISED = "sync.authorised"
"""Key in ``extensions`` of an ASGI scope: a function to call after a request has presented a valid token."""


class Access:
    """Checks the token of each request.

    :param tokens: the valid tokens
    :ivar delays: the delays of responses to wrong tokens
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.delays = RefusalDelays()
        self._expiry = ExpiryWarnings()
        for grant in tokens.grants:
            self._expiry.warn(grant)

    async def grant(self, request: Request) -> Grant:
        """Return the grant of the sender of a request.

        :raises Unauthenticated: after the delay, without a valid token
        :raises TooManyRefused: without a valid token, if too many such responses are already delayed
        """
        host = request.client.host if request.client else None
        try:
            grant = await self._tokens.grant(request.headers.get("authorization"), host)
        except Unauthenticated as error:
            await self.delays.hold_back(request, error)
            raise
        account_of(request.scope).token = grant.name
        self._expiry.warn(grant)
        authorised = request.scope.get("extensions", {}).get(AUTHORISED)
        if authorised is not None:
            authorised()
        return grant

    async def grant_if_any(self, request: Request) -> Grant | None:
        """Return the grant of the sender of a request; ``None`` if a token is needed and the request has none.

        :raises Unauthenticated: with an invalid token, as :meth:`grant`
        """
        if self._tokens.required and "authorization" not in request.headers:
            return None
        return await self.grant(request)
