"""Limit the server's connections: their number, and the time until the head of a request is complete.

A connection that has presented a valid token is never closed to make room for one that has not. Limits of bodies and responses
are in :mod:`..stall_limit` and :mod:`..active_requests`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import Any

from h11 import DONE, LocalProtocolError
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from airflow_provider_sync.config import ServerLimits
from airflow_provider_sync.server.access.addresses import client_address
from airflow_provider_sync.server.access.token_check import AUTHORISED
from airflow_provider_sync.server.observability.rate_limited_log import RateLimitedLog
from airflow_provider_sync.server.process.body_writer import BodyWriter
from airflow_provider_sync.server.request_heads import MAX_HEAD_BYTES

log = logging.getLogger(__name__)

CLOSING_SECONDS = 10.0
"""Seconds for sending the rest of the last response when a connection is closed."""

YOUNG_SECONDS = 1.0
"""Seconds during which a new connection is not closed in favour of others of its address, since a hundred workers behind one
address may connect at the same moment."""

_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4}
"""The kernel drops a connection after two minutes without an answer from the other machine."""

_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 5\r\nConnection: close\r\n\r\n"
    b'{"message": "The server has reached its limit of connections (limits.connections). Try again in 5 seconds."}'
)


class Connection(H11Protocol):
    """One connection.

    :ivar address: address of the client or, behind a proxy, of the proxy
    :ivar authorised: whether one of its requests had a valid token
    :ivar since: time at which it was opened, by the event loop's clock
    """

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # Looked up for each call: with TLS it is another one than at the start.
        self.conn = BodyWriter(lambda buffers: self.transport.writelines(buffers), MAX_HEAD_BYTES)
        self.address = ""
        self.authorised = False
        self.since = 0.0
        self._connections = connections
        self._application = self.app
        self.app = self._answer
        self._head_since: float | None = None
        self._closing_since: float | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection; close another one, or this one, when there are too many."""
        super().connection_made(transport)
        self.count(transport)

    def count(self, transport: asyncio.Transport) -> None:
        """Start counting a connection, before anything is read from it."""
        _keep_alive(transport)
        peer = transport.get_extra_info("peername")
        self.address = client_address(peer[0] if isinstance(peer, tuple) else None)
        self.since = self._head_since = self.loop.time()
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection."""
        self._connections.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes; the time limit for the head of a request runs from its first byte."""
        if self.waits and self._head_since is None:
            self._head_since = self.loop.time()
        super().data_received(data)
        if not self.waits:
            self._head_since = None

    @property
    def waits(self) -> bool:
        """Whether no request is being answered."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    def check(self, now: float, limits: ServerLimits) -> None:
        """Close the connection if a time limit has passed.

        :param now: by the event loop's clock
        """
        if self.transport.is_closing():
            if self._closing_since is None:
                self._closing_since = now
            if now - self._closing_since > CLOSING_SECONDS:
                self.transport.abort()
        elif self.waits and self._head_since is not None and now - self._head_since > limits.head_seconds:
            self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not HTTP with 400, unless a response has begun; called by uvicorn."""
        self._connections.malformed(self)
        cycle: RequestResponseCycle | None = self.cycle
        try:
            super().send_400_response(msg)
        except LocalProtocolError:
            self.transport.abort()
        if cycle is not None:
            # The previous request may still be active; its response can no longer be sent.
            cycle.disconnected = True
            cycle.message_event.set()

    def on_response_complete(self) -> None:
        """Continue with the next request; called by uvicorn.

        A connection without a token that pipelined its next request before it got this response is closed, since a few KB of
        small requests would keep the server busy for seconds.
        """
        if not self.authorised and self.conn.their_state is DONE and self.conn.trailing_data[0]:
            self._connections.pipelined(self)
            self.transport.close()
        super().on_response_complete()

    def turn_away(self) -> None:
        """Answer 503 and close the connection."""
        self.transport.write(_BUSY)
        self.transport.close()

    async def _answer(self, scope: Any, receive: Any, send: Any) -> None:
        def authorise() -> None:
            self.authorised = True
            self._connections.authorise(self)

        scope["extensions"] = {**scope.get("extensions", {}), AUTHORISED: authorise}
        await self._application(scope, receive, send)


class Connections:
    """All connections of a server; used in its event loop only."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        # Dicts keep the order of arrival.
        self._all: dict[Connection, None] = {}
        self._strangers: dict[str, dict[Connection, None]] = {}
        self._notices = RateLimitedLog(log)

    def add(self, connection: Connection) -> None:
        """Count a new connection, and close one when there are too many."""
        self._all[connection] = None
        self._strangers.setdefault(connection.address, {})[connection] = None
        if len(self._all) > self._limits.connections:
            self._notices.warn("", "More than %d connections (limits.connections)", self._limits.connections)
            self._make_room(connection)

    def adopt(self, limits: ServerLimits) -> None:
        """Use new limits from now on."""
        self._limits = limits

    def close(self) -> None:
        """Close all connections; one whose request is being answered after its response."""
        for connection in list(self._all):
            connection.shutdown()

    def authorise(self, connection: Connection) -> None:
        """Mark a connection as having presented a valid token."""
        self._forget(connection)

    def malformed(self, connection: Connection) -> None:
        """Log that a connection sent bytes that are not HTTP."""
        self._notices.warn(f"{connection.address} malformed", "%s sent something that is not HTTP", connection.address)

    def pipelined(self, connection: Connection) -> None:
        """Log that a connection is closed because it pipelined requests without a token."""
        address = connection.address
        self._notices.warn(f"{address} pipelined", "%s sent more requests without a token, before it had an answer", address)

    def not_encrypted(self, connection: Connection, reason: str) -> None:
        """Log why a connection could not be encrypted."""
        self._notices.warn(f"{connection.address} {reason}", "%s: no TLS connection: %s", connection.address, reason)

    def remove(self, connection: Connection) -> None:
        """Stop counting a connection that has ended."""
        self._all.pop(connection, None)
        self._forget(connection)

    def check(self, now: float) -> None:
        """Close connections whose time limit has passed, and those above the limit of their address."""
        for connection in list(self._all):
            connection.check(now, self._limits)
        for address, strangers in list(self._strangers.items()):
            self._limit(address, list(strangers), now)

    def _limit(self, address: str, strangers: list[Connection], now: float) -> None:
        excess = len(strangers) - self._limits.connections_per_address
        old = [connection for connection in strangers[: max(0, excess)] if now - connection.since > YOUNG_SECONDS]
        if not old:
            return
        self._notices.warn(
            address,
            "More than %d connections from %s without a token; the oldest are closed (limits.connections_per_address)",
            self._limits.connections_per_address,
            address,
        )
        for connection in old:
            self._drop(connection)

    def _make_room(self, newcomer: Connection) -> None:
        # Close one of the address with the most connections, so that other addresses keep theirs.
        strangers = max(self._strangers.values(), key=len, default={})
        stranger = next((connection for connection in strangers if connection is not newcomer), None)
        idle = next((connection for connection in self._all if connection.authorised and connection.waits), None)
        if (goes := stranger or idle) is not None:
            self._drop(goes)
        else:
            self.remove(newcomer)
            newcomer.turn_away()

    def _drop(self, connection: Connection) -> None:
        self.remove(connection)
        connection.transport.abort()

    def _forget(self, connection: Connection) -> None:
        strangers = self._strangers.get(connection.address, {})
        strangers.pop(connection, None)
        if not strangers:
            self._strangers.pop(connection.address, None)


def _keep_alive(transport: asyncio.Transport) -> None:
    connection: socket.socket | None = transport.get_extra_info("socket")
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE.items():
        # Not every system has all of these options.
        if (option := getattr(socket, name, None)) is not None:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
