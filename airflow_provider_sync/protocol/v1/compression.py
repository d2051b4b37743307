"""Write and read one gzip member as a stream.

Level 1 of ISA-L compresses better than level 1 of zlib and several times faster; any level is valid on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from isal import isal_zlib
from isal.igzip_lib import IsalError

from airflow_provider_sync.exceptions import DamagedStreamError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.glued_error import TAIL_BYTES, failed_in_midstream, glued_error

LEVEL = 1
BLOCK_BYTES = 512 * 1024
"""Maximum decompressed bytes per piece."""

_GZIP = 31  # zlib's window bits for a gzip wrapper
_MAGIC_BYTES = 2


def compress(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Write ``blocks`` as one gzip member without a time or a name, so that equal content gives equal bytes."""
    compressor = isal_zlib.compressobj(level=LEVEL, wbits=_GZIP)
    for block in blocks:
        if compressed := compressor.compress(block):
            yield compressed
    yield compressor.flush()


def _advice(start: bytes) -> str:
    """Return advice for a body that does not begin like gzip."""
    if start.lstrip()[:1] == b"<" or b"Warning: " in start or b"Notice: " in start or b"Deprecated: " in start:
        return (
            "Text stands in front of it: does PHP write its warnings into answers? Switch display_errors off at the source,"
            " and look into its log."
        )
    return "Is the URL that of a sync server?"


def decompress(chunks: Iterable[bytes], *, limit: int, option: str | None = None) -> Iterator[bytes]:
    """Read exactly one gzip member, in pieces of at most :data:`BLOCK_BYTES`, and check its checksum at the end.

    :param chunks: the body, in chunks of any size
    :param limit: maximum bytes after decompression
    :param option: name of the option that sets the limit, for messages
    :raises IncompleteStreamError: when the body is cut or damaged
    :raises ProtocolError: when the body is not gzip, has bytes after the gzip member, or inflates beyond ``limit``
    :raises GuardError: when the body inflates beyond a ``limit`` that an ``option`` sets
    """
    decompressor = isal_zlib.decompressobj(wbits=_GZIP)
    body = _Body(chunks)
    total = 0
    for chunk in body:
        if decompressor.eof and chunk:
            raise body.broken("Something follows the end of the gzip stream. Does a proxy change the body?")
        data, full = chunk, False
        while data or full:
            try:
                block = decompressor.decompress(data, BLOCK_BYTES)
            except IsalError as error:  # type: ignore[misc]  # the stubs of isal do not say that it is an exception
                if not body.start.startswith(b"\x1f\x8b"):
                    raise ProtocolError(f"The body is not gzip. {_advice(body.start)}") from error
                raise body.damaged(f"The gzip stream is damaged after {total} inflated bytes: {error}. Try again.") from error
            total += len(block)
            if total > limit:
                raise too_large(limit, option)
            if block:
                yield block
            data, full = decompressor.unconsumed_tail, len(block) == BLOCK_BYTES and not decompressor.eof
        if decompressor.unused_data:
            raise body.broken("Something follows the end of the gzip stream. Does a proxy change the body?")
    if not decompressor.eof:
        raise body.cut(f"The body ended in the middle of its gzip stream, after {total} inflated bytes. Try again.")


class _Body:
    """Iterates over the chunks of a body, and keeps its first and last bytes to diagnose errors."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self.start = b""
        self.tail = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.start = (self.start + chunk[:_MAGIC_BYTES])[:_MAGIC_BYTES]
            self.tail = (self.tail + chunk[-TAIL_BYTES:])[-TAIL_BYTES:]
            yield chunk

    def cut(self, otherwise: str) -> IncompleteStreamError:
        message = glued_error(self.tail)
        return IncompleteStreamError(otherwise if message is None else failed_in_midstream(message))

    def broken(self, otherwise: str) -> ProtocolError:
        """Return the error for a body that goes on; it is retryable if the server failed while it sent the body."""
        message = glued_error(self.tail, self._chunks)
        return ProtocolError(otherwise) if message is None else IncompleteStreamError(failed_in_midstream(message))

    def damaged(self, otherwise: str) -> IncompleteStreamError:
        """Return the error for a damaged body, with the server's message if it failed while it sent the body."""
        message = glued_error(self.tail, self._chunks)
        return DamagedStreamError(otherwise) if message is None else IncompleteStreamError(failed_in_midstream(message))
