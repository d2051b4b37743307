"""Write the frames of a stream: the length of a message, then the message. :mod:`.stream` describes the whole stream."""

from __future__ import annotations

from threading import Lock

import msgspec

from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST_BYTES, Content, ContentEnd, ContentFailed

LENGTH_BYTES = 4
"""Bytes of a frame's length field, which is big-endian and does not count itself."""

NO_DIGEST = bytes(FILE_DIGEST_BYTES)
"""Placeholder for a digest that is not known yet."""

MAX_KEPT = 8
"""Maximum buffers to keep for reuse: for each answer, one is being filled, one waits, and up to two are being sent."""

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

    :param message: the message with empty ``data``
    :param size: bytes of the data that will follow
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
    """A pool of buffers of one size. A buffer is reused once no view of it exists: allocating one costs more than filling it.

    Thread-safe.

    :param size: bytes of each
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: list[bytearray] = []
        self._lock = Lock()

    def take(self) -> memoryview:
        """Return a view of a buffer that nobody else uses."""
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
        # Fails while a view of the buffer exists.
        buffer.append(0)
    except BufferError:
        return False
    buffer.pop()
    return True


class FramedContent:
    """Messages about the content of files, framed one after the other in one buffer, into which the content is read directly.

    :param buffers: pool to take the buffer from; it needs room for all messages, with some hundred bytes for the head of each
    :ivar files: number of files that end in the buffer
    :ivar messages: number of messages in the buffer
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
        """The frames without the content, which the digest of the stream leaves out."""
        return self._heads

    @property
    def data(self) -> memoryview:
        """The frames of all messages."""
        return self._buffer[: self._end]

    def __len__(self) -> int:
        return self._end

    def place(self, number: int, size: int, *, inflated: int = 0, mode: int | None = None) -> memoryview:
        """Return a view to write the next message's content into; :meth:`add` then adds the message.

        :param number: number of the file in the request
        :param size: bytes of the content
        :param inflated: bytes after decompression; 0 if the content is not compressed
        :param mode: permission bits of the file, only with its last content
        """
        self._begin()
        end = None if mode is None else ContentEnd(NO_DIGEST, mode)
        self._head = head_of(Content(number=number, inflated=inflated, end=end), size)
        start = self._end + len(self._head)
        return self._buffer[start : start + size]

    def add(self, place: memoryview, digest: bytes | None = None) -> None:
        """Add the message whose content was written into ``place``.

        :param digest: digest of the file, only with its last content
        """
        head = self._head
        if digest is not None:
            at = head.index(NO_DIGEST)
            head[at : at + FILE_DIGEST_BYTES] = digest
            self.files += 1
        self._append(head)
        self._end += len(place)

    def add_failed(self, message: ContentFailed) -> None:
        """Add the message that a file cannot be sent, or not completely; it must fit into the buffer."""
        self._begin()
        self._append(frame_of(message))

    def _begin(self) -> None:
        if not self._buffer:
            self._buffer = self._buffers.take()

    def _append(self, frame: bytearray) -> None:
        """Append the frame of a message, or its part before the content."""
        start = self._end
        self._end += len(frame)
        self._buffer[start : self._end] = frame
        self._heads += frame
        self.messages += 1
