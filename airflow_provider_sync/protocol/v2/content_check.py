"""Check the content of files as it arrives: order, sizes and digests."""

from __future__ import annotations

from collections.abc import Sequence

from blake3 import blake3

from airflow_provider_sync.exceptions import DamagedStreamError, ProtocolError
from airflow_provider_sync.protocol.v2.compression import inflate_block
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CONTENT_BYTES,
    Content,
    ContentEnd,
    ContentFailed,
    RequestedFile,
)


class ContentCheck:
    """Check an answer of ``readFiles``, message by message.

    :param files: the requested files; for each, the answer must have exactly the requested bytes, or a failure
    :ivar number: number in the request of the file that is due next
    """

    def __init__(self, files: Sequence[RequestedFile]) -> None:
        self._files = files
        self.number = 0
        self._digest: blake3 | None = None
        self._left = self._expected()

    def receive(self, message: Content) -> bytes | memoryview:
        """Return the content of a message, decompressed.

        The last piece of a file checks the file's digest. Do not use earlier pieces before that.

        :raises ProtocolError: naming the file, for content of another file, another number of bytes than requested, or damage
        """
        path = self._due(message)
        data: bytes | memoryview = message.data
        if message.inflated:
            if not 0 < message.inflated <= MAX_CONTENT_BYTES:
                raise ProtocolError(f"The server sent a block of {message.inflated} bytes of {path!r}: too many. Try again.")
            try:
                data = inflate_block(data, message.inflated)
            except ProtocolError as error:
                raise error.with_subject(repr(path)) from error
        elif len(data) > MAX_CONTENT_BYTES:
            raise ProtocolError(f"The server sent a block of {len(data)} bytes of {path!r}: too many. Try again.")
        self._left -= len(data)
        if self._left < 0:
            raise ProtocolError(f"The server sent more of {path!r} than the {self._expected()} bytes that were asked for.")
        if message.end is None:
            if self._digest is None:
                self._digest = blake3()
            self._digest.update(data)
        else:
            self._finish(path, data, message.end)
        return data

    def fail(self, message: ContentFailed) -> None:
        """Record that the server failed to send a file; the caller must discard content that arrived for it.

        :raises ProtocolError: for another file
        """
        self._due(message)
        self._next()

    def finish(self) -> None:
        """Check that the answer was complete.

        :raises ProtocolError: when a file is missing
        """
        if self.number != len(self._files):
            raise ProtocolError(f"The server did not send {self._files[self.number].path!r}. Does it run the same version?")

    def _due(self, message: Content | ContentFailed) -> str:
        """Return the path of the file that is due."""
        if self.number == len(self._files):
            raise ProtocolError(f"The server sent content after all {self.number} files that were asked for.")
        path = self._files[self.number].path
        if message.number != self.number:
            raise ProtocolError(f"The server sent file {message.number} where {path!r} was due, file {self.number}.")
        return path

    def _finish(self, path: str, data: bytes | memoryview, end: ContentEnd) -> None:
        if self._left:
            expected = self._expected()
            raise ProtocolError(f"The server sent {expected - self._left} of the {expected} bytes of {path!r}.")
        digest = blake3(data) if self._digest is None else self._digest.update(data)
        if digest.digest() != end.digest:
            raise DamagedStreamError(f"The content of {path!r} was damaged on its way: its digest is another. Try again.")
        self._next()

    def _next(self) -> None:
        self.number += 1
        self._digest = None
        self._left = self._expected()

    def _expected(self) -> int:
        """Return the number of bytes that the file that is due must have."""
        if self.number == len(self._files):
            return 0
        return wanted_bytes(self._files[self.number])


def is_keep_alive(message: Content) -> bool:
    """Whether a message only keeps the connection alive; its ``number`` has no meaning then."""
    return not message.data and message.end is None


def wanted_bytes(file: RequestedFile) -> int:
    """Return the number of bytes that a request asks for of a file."""
    return file.size if file.ranges is None else sum(length for _, length in file.ranges)
