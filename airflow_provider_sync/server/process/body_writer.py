"""Write the body of an answer as HTTP, without a copy of it: h11 joins each chunk with its size and its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import h11

LARGE_BYTES = 16 * 1024
"""Bytes of a chunk from which on a copy costs more than two more buffers."""


class BodyWriter(h11.Connection):
    """The server's side of a connection, as h11 has it; large chunks of a body are written by itself.

    :param write: takes buffers in the order in which they are to be sent; none of them changes any more
    :param max_head_bytes: most bytes of the head of a request
    """

    def __init__(self, write: Callable[[Sequence[bytes]], None], max_head_bytes: int) -> None:
        super().__init__(h11.SERVER, max_head_bytes)
        self._write = write

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
