"""Frames of a stream: the length of a message, and the message. What a stream is made of is in :mod:`.stream`."""

from __future__ import annotations

from threading import Lock

import msgspec

from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST_BYTES, Content, ContentEnd

LENGTH_BYTES = 4
"""Bytes of a frame's length, which is big-endian and does not count itself."""

NO_DIGEST = bytes(FILE_DIGEST_BYTES)
"""In the place of a digest that is not known yet."""

MAX_KEPT = 8
"""Most buffers that stay for later: of one answer, one is filled, one waits, and up to two are being sent."""

_encoder = msgspec.msgpack.Encoder()
_EMPTY = _encoder.encode(b"")


def frame_of(message: msgspec.Struct) -> bytearray:
    """Return the frame of a message."""
    framed = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, framed, LENGTH_BYTES)
    framed[:LENGTH_BYTES] = (len(framed) - LENGTH_BYTES).to_bytes(LENGTH_BYTES, "big")
    return framed


def head_of(message: msgspec.Struct, size: int) -> bytearray:
    """Return the frame of a message up to its last field, ``data``, which is not copied.

    :param message: without its data
    :param size: bytes of the data
    """
    framed = bytearray(LENGTH_BYTES)
    _encoder.encode_into(message, framed, LENGTH_BYTES)
    del framed[-len(_EMPTY) :]
    if size < 1 << 8:
        framed += b"\xc4" + size.to_bytes(1)
    elif size < 1 << 16:
        framed += b"\xc5" + size.to_bytes(2)
    else:
        framed += b"\xc6" + size.to_bytes(4)
    framed[:LENGTH_BYTES] = (len(framed) - LENGTH_BYTES + size).to_bytes(LENGTH_BYTES)
    return framed


class Buffers:
    """Buffers of one size that are used again once there is no view of them: a new one costs more than to fill it.

    May be used by several threads at once.

    :param size: bytes of each
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[bytearray] = []
        self._lock = Lock()

    def take(self) -> memoryview:
        """Return a view of a buffer of which there is no other."""
        with self._lock:
            for buffer in self._kept:
                if _is_free(buffer):
                    return memoryview(buffer)
            buffer = bytearray(self._size)
            if len(self._kept) < MAX_KEPT:
                self._kept.append(buffer)
            return memoryview(buffer)


def _is_free(buffer: bytearray) -> bool:
    try:
        # Refused while there is a view.
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


class FramedContent:
    """Messages of :class:`.Content`, framed one after the other in a buffer: content is read to the place that it is sent from.

    :param buffers: of which one must have room for the messages, with some hundred bytes for the head of each
    :ivar files: number of files that end in it
    :ivar messages: number of messages
    """

    __slots__ = ("_buffer", "_buffers", "_end", "_head", "_heads", "files", "messages")

    def __init__(self, buffers: Buffers) -> None:
        self.files = 0
        self.messages = 0
        self._buffers = buffers
        self._buffer = memoryview(b"")
        self._heads = bytearray()
        self._head = bytearray()
        self._end = 0

    @property
    def heads(self) -> bytearray:
        """All but the content, which the digest of the stream leaves out."""
        return self._heads

    @property
    def data(self) -> memoryview:
        """All messages."""
        return self._buffer[: self._end]

    def __len__(self) -> int:
        return self._end

    def place(self, number: int, size: int, *, inflated: int = 0, mode: int | None = None) -> memoryview:
        """Return the place of the next message's content; the message counts only once :meth:`add` is called.

        :param number: of the file in the request
        :param size: bytes of the content
        :param inflated: bytes after inflation; 0 if it is not compressed
        :param mode: with the last content of a file: its permission bits
        """
        if not self._buffer:
            self._buffer = self._buffers.take()
        end = None if mode is None else ContentEnd(NO_DIGEST, mode)
        self._head = head_of(Content(number=number, inflated=inflated, end=end), size)
        start = self._end + len(self._head)
        return self._buffer[start : start + size]

    def add(self, place: memoryview, digest: bytes | None = None) -> None:
        """Take the message whose content was put into ``place``.

        :param digest: of the file, with its last content
        """
        head = self._head
        if digest is not None:
            at = head.index(NO_DIGEST)
            head[at : at + FILE_DIGEST_BYTES] = digest
            self.files += 1
        start = self._end + len(head)
        self._buffer[self._end : start] = head
        self._heads += head
        self._end = start + len(place)
        self.messages += 1
