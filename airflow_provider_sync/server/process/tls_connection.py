"""A TLS connection that counts towards the limits from its first packet on, before the handshake."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from airflow_provider_sync.server.process.connection_limits import Connection, Connections

# Bytes of the buffer that each connection has from its first packet on: with asyncio's 256 KiB, strangers would fill the memory.
SSLProtocol.max_size = 32 * 1024


class TLSConnection(Connection):
    """One TLS connection, with the certificate that is current when it is opened.

    :param context: returns the TLS context for a new connection
    """

    def __init__(self, *arguments: Any, connections: Connections, context: Callable[[], ssl.SSLContext], **options: Any) -> None:
        super().__init__(*arguments, connections=connections, **options)
        self._server_connections = connections
        self._context = context
        self._encrypted = False
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Count the connection, and begin to encrypt it."""
        transport.pause_reading()
        self.transport = transport
        # Uvicorn's own, so that a server that stops closes it.
        self.connections.add(self)
        self.count(transport)
        self._handshake = self.loop.create_task(self._encrypt(transport))

    async def _encrypt(self, transport: asyncio.Transport) -> None:
        if transport.is_closing():  # to make room for others
            return
        try:
            # The handshake counts as part of the head of the first request, whose time `check` limits.
            encrypted = await self.loop.start_tls(transport, self, self._context(), server_side=True)
        except (OSError, ssl.SSLError) as error:
            if isinstance(error, ssl.SSLError) and (reason := _words(error)):
                self._server_connections.not_encrypted(self, reason)
            encrypted = None
            # The frames of the traceback would keep the connection and its buffers until the next garbage collection.
            error.__traceback__ = None
        # A handshake that was closed before its end has neither an error nor a result.
        if encrypted is None or transport.is_closing():
            # Asyncio does not call connection_lost for such a connection.
            self._server_connections.remove(self)
            self.connections.discard(self)
            transport.abort()
            return
        self._encrypted = True
        H11Protocol.connection_made(self, encrypted)
        # Data that arrived together with the end of the handshake.
        early, self._early = self._early, []
        for data in early:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop counting the connection; give up encrypting it."""
        self._handshake.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle received bytes, once the connection is ready for them."""
        if self._encrypted:
            super().data_received(data)
        else:
            self._early.append(data)

    def turn_away(self) -> None:
        """Answer 503 if that can be encrypted, and close the connection."""
        if self._encrypted:
            super().turn_away()
        else:
            self.transport.abort()


def _words(error: ssl.SSLError) -> str:
    """Return the reason of an error, also one of the client's certificate; empty if the client just disconnected."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "").lower().replace("_", " ")
