"""Bearer tokens, and the names of tables and directories that each may see."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.tables import listed_conditions
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
    """

    tables: frozenset[str]
    directories: frozenset[str]
    entries: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    caller: bytes = b""


class Tokens:
    """The tokens of a server, compared in constant time.

    :param config: without tokens in it and without ``admits``, everybody may see everything
    :param admits: decides on tokens that are not in ``config``
    """

    def __init__(self, config: ServerConfig, admits: Admits | None = None) -> None:
        everything = Grant(frozenset(config.tables), frozenset(config.directories))
        self._everybody = None if config.tokens or admits is not None else everything
        self._everything = everything
        self._admits = admits
        self._grants = [
            (
                digest := _digest(entry.token.encode()),
                Grant(
                    _only(everything.tables, entry.tables),
                    _only(everything.directories, entry.directories),
                    entry.entries,
                    {name: listed_conditions(where) for name, where in entry.where.items()},
                    caller=digest,
                ),
            )
            for entry in config.tokens
        ]

    async def grant(self, authorization: str | None) -> Grant:
        """Return what the sender of an ``Authorization`` header may see, by the configuration or by ``admits``.

        :raises Unauthenticated: without a valid token
        """
        try:
            return self.authenticate(authorization)
        except Unauthenticated:
            scheme, token = _parts(authorization)
            if self._admits is None or scheme != "bearer" or not await self._admits(token):
                raise
            return replace(self._everything, caller=_digest(token.encode("latin-1", "replace")))

    def authenticate(self, authorization: str | None) -> Grant:
        """Return what the sender of an ``Authorization`` header may see, by the configuration alone.

        :param authorization: as ASGI has headers, bytes as Latin-1
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
        for known, grant in self._grants:
            for digest in digests:
                if hmac.compare_digest(known, digest):
                    found = grant
        if found is None or scheme != "bearer":
            raise Unauthenticated
        return found


def _parts(authorization: str | None) -> tuple[str, str]:
    scheme, _, token = (authorization or "").strip().partition(" ")
    return scheme.lower(), token.strip()


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _only(names: frozenset[str], limits: Collection[str] | None) -> frozenset[str]:
    return names if limits is None else frozenset(limits)
