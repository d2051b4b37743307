"""Bearer tokens: read the token of a request, check it, and find its grant."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.tokens import Network
from airflow_provider_sync.server.access.addresses import exact_address
from airflow_provider_sync.server.access.grants import Grant, granted
from airflow_provider_sync.server.http_errors import Unauthenticated

Admits = Callable[[str], Awaitable[bool]]
"""Decides whether a bearer token that is not in the configuration may see everything."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A token of the configuration: its grant, and the networks from which it may be used; empty for all."""

    grant: Grant
    networks: tuple[Network, ...] | None

    def refusal(self, host: str | None, now: datetime) -> str | None:
        """Return the reason, for the log, why the token is refused; ``None`` if it is accepted."""
        shown = f"the token {self.grant.name!r}"
        if self.networks is not None:
            address = exact_address(host)
            if address is None or not any(address in network for network in self.networks):
                return f"{shown}, which may not be used from there, only from {', '.join(map(str, self.networks))}"
        if self.grant.expires is not None and now > self.grant.expires:
            return f"{shown}, which expired on {self.grant.expires:%Y-%m-%d at %H:%M} UTC"
        return None


class Tokens:
    """The tokens of a server, compared in constant time.

    :param config: without tokens in it and without ``admits``, everybody may see everything
    :param admits: decides on tokens that are not in ``config``
    :param now: the time, with a zone
    """

    def __init__(
        self, config: ServerConfig, admits: Admits | None = None, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        everything = Grant(frozenset(config.tables), frozenset(config.directories))
        self._everybody = None if config.tokens or admits is not None else everything
        self._everything = everything
        self._admits = admits
        self._now = now
        self._known = [
            _Known(granted(token, everything, position), token.addresses) for position, token in enumerate(config.tokens)
        ]

    @property
    def grants(self) -> list[Grant]:
        """The grants of all tokens of the configuration, including expired ones."""
        return [known.grant for known in self._known]

    @property
    def required(self) -> bool:
        """Whether a request needs a token."""
        return self._everybody is None

    async def grant(self, authorization: str | None, host: str | None = None) -> Grant:
        """Return the grant of the sender of an ``Authorization`` header, from the configuration or by ``admits``.

        :param host: the sender's address in the ASGI scope
        :raises Unauthenticated: without a valid token
        """
        try:
            return self.authenticate(authorization, host)
        except Unauthenticated:
            scheme, token = _parts(authorization)
            if self._admits is None or scheme != "bearer" or not await self._admits(token):
                raise
            return replace(self._everything, caller=digests_of(token)[0], name="of Airflow")

    def authenticate(self, authorization: str | None, host: str | None = None) -> Grant:
        """Return the grant of the sender of an ``Authorization`` header, from the configuration only.

        :param authorization: the header as ASGI passes it, decoded as Latin-1
        :param host: the sender's address in the ASGI scope
        :raises Unauthenticated: if a token is required, and the header has no valid one
        """
        if self._everybody is not None:
            return self._everybody
        scheme, token = _parts(authorization)
        digests = digests_of(token)
        found = None
        # Compare with all tokens, so that the time does not reveal which one matched.
        for known in self._known:
            if is_among(known.grant.caller, digests):
                found = known
        if found is None or scheme != "bearer":
            raise Unauthenticated("a wrong token" if authorization else "no token")
        if refused := found.refusal(host, self._now()):
            raise Unauthenticated(refused)
        return found.grant


def bearer_token(authorization: str | None) -> str:
    """Return the token in an ``Authorization`` header; empty if it has none."""
    scheme, token = _parts(authorization)
    return token if scheme == "bearer" else ""


def digests_of(token: str) -> tuple[bytes, bytes]:
    """Return the SHA-256 digests that a token may have in the configuration.

    A client may have encoded it as UTF-8, like this project's client, or as Latin-1, like most HTTP libraries.

    :param token: the token as ASGI passes headers, decoded as Latin-1
    """
    sent = token.encode("latin-1", "replace")
    return sha256(sent).digest(), sha256(sent.decode("latin-1").encode()).digest()


def is_among(digest: bytes, digests: tuple[bytes, bytes]) -> bool:
    """Tell whether a configured digest is one of these digests, in constant time."""
    return hmac.compare_digest(digest, digests[0]) | hmac.compare_digest(digest, digests[1])


def _parts(authorization: str | None) -> tuple[str, str]:
    scheme, _, token = (authorization or "").strip().partition(" ")
    return scheme.lower(), token.strip()
