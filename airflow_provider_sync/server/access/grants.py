"""Bearer tokens: whether one counts, and the names of tables and directories that it may see."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256

from airflow_provider_sync.config import ServerConfig, Token
from airflow_provider_sync.config.source_tables import listed_conditions
from airflow_provider_sync.config.tokens import Network
from airflow_provider_sync.printable import printable
from airflow_provider_sync.server.access.addresses import exact_address
from airflow_provider_sync.server.http_errors import Unauthenticated

Admits = Callable[[str], Awaitable[bool]]
"""Decides whether a bearer token that the configuration does not have may see everything."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The names that one caller may see; any other name is answered as if it did not exist.

    :ivar tables: names, and patterns of names
    :ivar entries: names of the configuration's tables, by the names under which this caller sees them; empty if they are the same
    :ivar where: conditions that rows have to fulfil for this caller to see them, by the names of tables
    :ivar caller: tells callers apart: the digest of the token; empty where no token is needed
    :ivar name: what the log calls the token; empty where no token is needed
    :ivar expires: the last moment at which the token is valid, in UTC, if it has an end
    """

    tables: frozenset[str]
    directories: frozenset[str]
    entries: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caller: bytes = b""
    name: str = ""
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Known:
    """A token of the configuration: what it grants, and the networks from which it may be used, if not from all."""

    grant: Grant
    networks: tuple[Network, ...] | None

    def refusal(self, host: str | None, now: datetime) -> str | None:
        """Say why the token does not count, for the log; ``None`` if it does."""
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
            _Known(_granted(token, everything, position), token.addresses) for position, token in enumerate(config.tokens)
        ]

    @property
    def grants(self) -> list[Grant]:
        """What each token of the configuration may see, expired ones included."""
        return [known.grant for known in self._known]

    @property
    def required(self) -> bool:
        """Whether a request needs a token."""
        return self._everybody is None

    async def grant(self, authorization: str | None, host: str | None = None) -> Grant:
        """Return what the sender of an ``Authorization`` header may see, by the configuration or by ``admits``.

        :param host: the sender's address in the ASGI scope
        :raises Unauthenticated: without a valid token
        """
        try:
            return self.authenticate(authorization, host)
        except Unauthenticated:
            scheme, token = _parts(authorization)
            if self._admits is None or scheme != "bearer" or not await self._admits(token):
                raise
            return replace(self._everything, caller=_digest(token.encode("latin-1", "replace")), name="of Airflow")

    def authenticate(self, authorization: str | None, host: str | None = None) -> Grant:
        """Return what the sender of an ``Authorization`` header may see, by the configuration alone.

        :param authorization: as ASGI has headers, bytes as Latin-1
        :param host: the sender's address in the ASGI scope
        :raises Unauthenticated: without a valid token, where one is required
        """
        if self._everybody is not None:
            return self._everybody
        scheme, token = _parts(authorization)
        sent = token.encode("latin-1", "replace")
        # A client may have encoded it as UTF-8, as this project's does, or as Latin-1, as HTTP libraries do by default.
        digests = (_digest(sent), _digest(sent.decode("latin-1").encode()))
        found = None
        # Compare with all of them, so that the time does not show which one matched.
        for known in self._known:
            for digest in digests:
                if hmac.compare_digest(known.grant.caller, digest):
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


def _granted(token: Token, everything: Grant, position: int) -> Grant:
    """Return what a token may see.

    :param position: in the configuration, which stands in place of a name
    """
    return Grant(
        _only(everything.tables, token.tables),
        _only(everything.directories, token.directories),
        token.entries,
        {name: listed_conditions(where) for name, where in token.where.items()},
        caller=bytes.fromhex(token.digest),
        name=f"tokens[{position}]" if token.name is None else printable(token.name),
        expires=token.expires,
    )


def _parts(authorization: str | None) -> tuple[str, str]:
    scheme, _, token = (authorization or "").strip().partition(" ")
    return scheme.lower(), token.strip()


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _only(names: frozenset[str], limits: Collection[str] | None) -> frozenset[str]:
    return names if limits is None else frozenset(limits)
