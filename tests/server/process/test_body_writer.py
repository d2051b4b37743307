"""Bodies of answers as HTTP."""

from __future__ import annotations

from collections.abc import Sequence

import h11
import pytest

from airflow_provider_sync.server.process.body_writer import LARGE_BYTES, BodyWriter


def _answer(headers: list[tuple[str, str]], parts: Sequence[bytes | memoryview]) -> tuple[list[Sequence[bytes]], bytes]:
    """Return what is written by itself, and all bytes in their order."""
    by_itself: list[Sequence[bytes]] = []
    wire = bytearray()

    def write(buffers: Sequence[bytes]) -> None:
        by_itself.append(buffers)
        wire.extend(b"".join(buffers))

    writer = BodyWriter(write, 10_000)
    writer.receive_data(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert isinstance(writer.next_event(), h11.Request)
    assert isinstance(writer.next_event(), h11.EndOfMessage)
    events: list[h11.Event] = [h11.Response(status_code=200, headers=headers), *(h11.Data(data=part) for part in parts)]
    for event in [*events, h11.EndOfMessage()]:
        wire += writer.send(event) or b""
    return by_itself, bytes(wire)


@pytest.mark.parametrize("headers", [[("Transfer-Encoding", "chunked")], [("Content-Length", str(2 * LARGE_BYTES + 3))]])
def test_large_chunks_are_not_copied(headers: list[tuple[str, str]]) -> None:
    """A client reads the same body, although large parts of it are not copied."""
    large = memoryview(b"x" * LARGE_BYTES)
    by_itself, wire = _answer(headers, [large, b"abc", large, b""])
    handed_on = [buffer for buffers in by_itself for buffer in buffers]
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    client.send(h11.EndOfMessage())
    client.receive_data(wire)
    body = bytearray()
    while not isinstance(event := client.next_event(), h11.EndOfMessage):
        if isinstance(event, h11.Data):
            body += event.data
    assert body == bytes(large) + b"abc" + bytes(large)
    if headers[0][0] == "Transfer-Encoding":
        assert sum(buffer is large for buffer in handed_on) == 2
