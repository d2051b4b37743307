"""Check the token of each request.

A request with a valid token is never delayed, whatever others have tried from its address, so that nobody can lock out a client.
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
"""Key in ``extensions`` of an ASGI scope: a function to call once a request has shown a valid token."""


class Access:
    """Checks the token of each request.

    :param tokens: the valid ones
    :ivar delays: of the answers to wrong ones
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self.delays = RefusalDelays()
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
            await self.delays.hold_back(request, error)
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
