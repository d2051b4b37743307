"""Encode and decode files on the wire: for each file the length of its metadata, the metadata, then its content.

The client checks that the files are the requested ones; ``files`` checks their digests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NoReturn

import msgspec

from airflow_provider_sync.exceptions import FileError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.printable import reason
from airflow_provider_sync.protocol.v1.glued_error import TAIL_BYTES, failed_in_midstream, glued_error
from airflow_provider_sync.protocol.v1.json_text import json_text

MAX_METADATA_BYTES = 64 * 1024
"""Maximum bytes of metadata: more than the longest path of any file system needs."""

_LENGTH_BYTES = 4


class _Metadata(msgspec.Struct, frozen=True):
    file: str
    size: int


class Frame:
    """One file of the stream.

    :ivar path: its path below the directory's root, as the server sent it, unchecked
    :ivar size: bytes of its content
    :ivar chunks: its content; read it before taking the next frame, which skips unread content
    """

    def __init__(self, path: str, size: int, chunks: Iterator[bytes]) -> None:
        self.path = path
        self.size = size
        self.chunks = chunks

    def __repr__(self) -> str:
        return f"Frame({self.path!r}, {self.size})"


def frame_header(path: str, size: int) -> bytes:
    """Return the bytes that precede the content of a file: the length of the metadata, and the metadata.

    :param path: path below the directory's root, with ``/``
    :param size: bytes of content that follow
    :raises FileError: for a path that is not text
    """
    try:
        metadata = f'{{"file":{json_text(path)},"size":{size}}}'.encode()
    except UnicodeEncodeError as error:
        raise FileError(f"The name of {path!r} is not UTF-8, and cannot be sent. Rename it, or exclude it.") from error
    return len(metadata).to_bytes(_LENGTH_BYTES) + metadata


def read_frames(chunks: Iterable[bytes]) -> Iterator[Frame]:
    """Yield the frames of a body; their content is streamed as it arrives.

    :param chunks: the body, in chunks of any size
    :raises IncompleteStreamError: when the body ends within a frame, the server failed and appended its error to the body, or no
        header follows a file, since its size changed while it was sent
    :raises ProtocolError: if the body does not begin with metadata that can be read
    """
    stream = _Stream(chunks)
    before = None
    while not stream.at_end():
        length = int.from_bytes(stream.read(_LENGTH_BYTES))
        if length > MAX_METADATA_BYTES:
            wrong = f"A frame announces {length} bytes of metadata; {MAX_METADATA_BYTES} are allowed."
            stream.refuse(f"{wrong} Is the URL that of a sync server?", before)
        text = stream.read(length)
        try:
            path, size = _metadata(text)
        except ProtocolError as error:
            if before is None:
                raise
            raise _size_changed(before) from error
        content = stream.take(size, path)
        yield Frame(path, size, content)
        for _ in content:
            pass
        before = path


def _size_changed(path: str) -> IncompleteStreamError:
    return IncompleteStreamError(
        f"No other file follows {path!r} where it should end. Did it grow or shrink while the server sent it? Try again."
    )


def _metadata(text: bytes) -> tuple[str, int]:
    try:
        metadata = msgspec.json.decode(text, type=_Metadata)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        why = reason(error)
        raise ProtocolError(f"The metadata of a frame cannot be read: {why}. Is the URL that of a sync server?") from error
    if metadata.size < 0:
        raise ProtocolError(f"The metadata of {metadata.file!r} announces {metadata.size} bytes.")
    return metadata.file, metadata.size


class _Stream:
    """Reads a given number of bytes from the chunks of a body."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._rest = memoryview(b"")
        self._tail = b""  # the bytes read last, in which an error of the server may begin

    def at_end(self) -> bool:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return True
            self._rest = memoryview(chunk)
        return False

    def _some(self, most: int) -> bytes:
        some, self._rest = bytes(self._rest[:most]), self._rest[most:]
        self._tail = (self._tail + some[-TAIL_BYTES:])[-TAIL_BYTES:]
        return some

    def read(self, count: int) -> bytes:
        """Return exactly ``count`` bytes of a header."""
        data = bytearray()
        while len(data) < count:
            if self.at_end():
                raise self._incomplete("The body ended within the header of a file. Try again.")
            data += self._some(count - len(data))
        return bytes(data)

    def take(self, count: int, path: str) -> Iterator[bytes]:
        """Yield the ``count`` bytes of content as they arrive."""
        left = count
        while left:
            if self.at_end():
                raise self._incomplete(f"The body ended within {path!r}: {left} of {count} bytes are missing. Try again.")
            chunk = self._some(left)
            left -= len(chunk)
            yield chunk

    def refuse(self, otherwise: str, before: str | None) -> NoReturn:
        """Raise the error for a wrong header; it is retryable if the server failed, or sent files before it.

        :param otherwise: the message if it did neither
        :param before: path of the last file before it
        """
        read = 0
        while read < TAIL_BYTES and not self.at_end():
            read += len(self._some(TAIL_BYTES // 2))
        message = glued_error(self._tail)
        if message is not None:
            raise IncompleteStreamError(failed_in_midstream(message))
        raise ProtocolError(otherwise) if before is None else _size_changed(before)

    def _incomplete(self, otherwise: str) -> IncompleteStreamError:
        message = glued_error(self._tail)
        return IncompleteStreamError(otherwise if message is None else failed_in_midstream(message))
