"""The bodies of one connection: write large response chunks without copying them, and refuse requests in tiny chunks."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h11

LARGE_BYTES = 16 * 1024
"""Bytes of a chunk from which on a copy costs more than two more buffers: h11 joins each chunk with its size and its end."""

MAX_TINY_CHUNKS = 100
"""Maximum number of chunks of a request's body that are smaller than :data:`TINY_BYTES`."""

TINY_BYTES = 64
"""Bytes that a chunk of a request's body has on average, if there are many: reading one takes as long as a thousand bytes do, so
that a few hundred KB of chunks of one byte would keep the server from answering anybody for seconds."""


class BodyWriter(h11.Connection):
    """The server's side of an h11 connection, which writes large chunks of a body itself.

    :param write: takes buffers in the order in which they are sent; they must not change afterwards
    :param max_head_bytes: maximum size, in bytes, of the head of a request
    """

    def __init__(self, write: Callable[[Sequence[bytes]], None], max_head_bytes: int) -> None:
        super().__init__(h11.SERVER, max_head_bytes)
        self._write = write
        self._chunks = self._bytes = 0

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next received event.

        :raises h11.RemoteProtocolError: for bytes that are not HTTP, and for a body in too many tiny chunks
        """
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks += event.chunk_end
            self._bytes += len(event.data)
            if self._chunks > MAX_TINY_CHUNKS + self._bytes // TINY_BYTES:
                raise h11.RemoteProtocolError("The body of the request has too many tiny chunks.")
        return event

    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]  # of which h11 has overloads
        """Return the bytes that the caller still has to write."""
        if not isinstance(event, h11.Data) or len(event.data) < LARGE_BYTES:
            return super().send(event)
        buffers = self.send_with_data_passthrough(event)
        if not buffers:
            return None
        if len(buffers) > 1:
            self._write(buffers[:-1])
        return buffers[-1]
