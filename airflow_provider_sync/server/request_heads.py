"""Refuse requests by their head alone: its size, ambiguous framing, and foreign ``Host`` or ``Origin`` headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from airflow_provider_sync.printable import printable
from airflow_provider_sync.server.error_answers import refusal
from airflow_provider_sync.server.http_errors import (
    AmbiguousLength,
    HeadTooLarge,
    HostNotServed,
    HttpError,
    SentByWebPage,
)

MAX_HEAD_BYTES = 16 * 1024
"""Maximum size, in bytes, of the head of a request."""

LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
"""Names of this machine for itself."""


class RequestHeads:
    """ASGI middleware that refuses requests whose head cannot be trusted.

    Programs disagree on a request with both ``Content-Length`` and ``Transfer-Encoding``: one reads as the body what the other
    reads as a second request (request smuggling; RFC 9112, 6.1).

    A web page whose own name resolves to 127.0.0.1 ("DNS rebinding") can make a browser send requests to a server on this
    machine, and read the responses. The browser then sends the page's name as ``Host``; other pages send theirs as ``Origin``.

    :param app: handles all other requests
    :param hosts: accepted names in ``Host``, without port; ``None`` for all
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None = None) -> None:
        self._app = app
        self._hosts = None if hosts is None else frozenset(map(_bare, hosts))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http" and (error := self._error(scope)) is not None:
            await refusal(scope, error)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _error(self, scope: Scope) -> HttpError | None:
        # What reads the connection looks at the size of a head only as long as a part of it is missing.
        fields = (len(name) + len(value) for name, value in scope["headers"])
        if len(scope["path"]) + len(scope["query_string"]) + sum(fields) > MAX_HEAD_BYTES:
            return HeadTooLarge(MAX_HEAD_BYTES)
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if b"transfer-encoding" in headers and (b"content-length" in headers or scope.get("http_version") == "1.0"):
            return AmbiguousLength()
        if self._hosts is None:
            return None
        for header, error in ((b"host", HostNotServed), (b"origin", SentByWebPage)):
            value = headers.get(header)
            if value is not None and not self._allows(name := _host(header, value.decode("latin-1"))):
                return error(printable(name, 100))
        return None

    def _allows(self, name: str) -> bool:
        name = _bare(name)
        if self._hosts is not None and name in self._hosts:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return False


def _host(header: bytes, value: str) -> str:
    """Return the name in a header, without its port; a malformed value is returned whole, and matches no name."""
    try:
        parts = urlsplit(f"//{value}" if header == b"host" else value)
        # `port` raises for an invalid port.
        return value if parts.hostname is None or parts.port == -1 else parts.hostname
    except ValueError:
        return value


def _bare(name: str) -> str:
    name = name.strip().rstrip(".").lower()
    return name[1:-1] if name.startswith("[") and name.endswith("]") else name
