"""Who asks, and what they may see: bearer tokens, each with its own names."""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import sha256

from airflow_provider_sync.config import ServerConfig


class Unauthenticated(Exception):
    """No token, or none that the server knows; the answer is 401."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The names that one caller may see; to them, any other name does not exist."""

    tables: frozenset[str]
    directories: frozenset[str]


class Tokens:
    """The tokens of a server, compared in a time that tells nothing about them.

    :param config: without tokens in it, everybody may see everything
    """

    def __init__(self, config: ServerConfig) -> None:
        everything = Grant(frozenset(config.tables), frozenset(config.directories))
        self._everybody = None if config.tokens else everything
        self._grants = [
            (
                _digest(entry.token.encode()),
                Grant(_only(everything.tables, entry.tables), _only(everything.directories, entry.directories)),
            )
            for entry in config.tokens
        ]

    def authenticate(self, authorization: str | None) -> Grant:
        """Return what the sender of an ``Authorization`` header may see.

        :param authorization: as ASGI has headers, bytes as Latin-1
        :raises Unauthenticated: when a token is required and this is none
        """
        if self._everybody is not None:
            return self._everybody
        scheme, _, token = (authorization or "").strip().partition(" ")
        digest = _digest(token.strip().encode("latin-1", "replace"))
        found = None
        # All of them, so that the time does not show which one came close.
        for known, grant in self._grants:
            if hmac.compare_digest(known, digest):
                found = grant
        if found is None or scheme.lower() != "bearer":
            raise Unauthenticated
        return found


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _only(names: frozenset[str], limits: Collection[str] | None) -> frozenset[str]:
    return names if limits is None else names.intersection(limits)
