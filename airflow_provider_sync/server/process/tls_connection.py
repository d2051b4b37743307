"""A connection over TLS, which counts in the limits from its first packet on, before it is encrypted."""

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
    """One connection, encrypted by the certificate that the server has when it is made.

    :param context: returns the settings of TLS for a new connection
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
            # Its time is that of the request's head, which `check` limits.
            encrypted = await self.loop.start_tls(transport, self, self._context(), server_side=True)
        except (OSError, ssl.SSLError) as error:
            if isinstance(error, ssl.SSLError) and (reason := _words(error)):
                self._server_connections.not_encrypted(self, reason)
            encrypted = None
            # Its frames would keep the connection and its buffers until Python looks for garbage.
            error.__traceback__ = None
        # One that was closed before its end is a handshake without an error and without a result.
        if encrypted is None or transport.is_closing():
            # Asyncio does not say of such a connection that it is lost.
            self._server_connections.remove(self)
            self.connections.discard(self)
            transport.abort()
            return
        self._encrypted = True
        H11Protocol.connection_made(self, encrypted)
        # What came together with the end of the handshake.
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
    """Return what is wrong, also with the client's certificate; empty if the client just left."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason or "").lower().replace("_", " ")
