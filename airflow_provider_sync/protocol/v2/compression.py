"""Compress and decompress a stream of messages: with zstd, or with gzip, which every reader supports."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Protocol

from isal import isal_zlib

from airflow_provider_sync.exceptions import DamagedStreamError, IncompleteStreamError, ProtocolError
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1 import compression as gzip

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

COMPRESSIONS = ("zstd", "gzip")
"""Names of compressions on the wire, the best first."""

UNCOMPRESSED = "none"
"""No compression, for streams of files, whose content is compressed block by block or not at all."""

CONTENT_COMPRESSIONS = (UNCOMPRESSED, *COMPRESSIONS)
"""Names of compressions on the wire for streams of files, the best first."""

BLOCK_BYTES = 512 * 1024
"""Maximum decompressed bytes per piece."""

_LEVEL = 1
_GZIP = 31  # zlib's window bits for a gzip wrapper
_WINDOW_LOG = 23  # 8 MiB, which RFC 8878 recommends decoders to support; a larger limit would let a server use up our memory


class Compressor(Protocol):
    """Compresses one stream."""

    def write(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        """Compress ``data``; return the output that is ready, which may be empty."""

    def flush(self) -> bytes:
        """Return all pending output, so that a reader can decode everything written so far."""

    def finish(self) -> bytes:
        """End the stream, and return the remaining output."""


def compressor(compression: str) -> Compressor:
    """Return a new compressor.

    :param compression: one of :data:`CONTENT_COMPRESSIONS`
    """
    if compression == UNCOMPRESSED:
        return _Plain()
    return _Zstd() if _checked(compression) == "zstd" else _Gzip()


def decompress(chunks: Iterable[bytes], compression: str, *, limit: int, option: str | None = None) -> Iterator[bytes]:
    """Read exactly one compressed stream, in pieces of at most :data:`BLOCK_BYTES`.

    :param chunks: the body, in chunks of any size
    :param limit: maximum bytes after decompression
    :param option: name of the option that sets the limit, for messages
    :raises IncompleteStreamError: when the body is cut or damaged
    :raises ProtocolError: when the body has bytes after the stream, or inflates beyond ``limit``
    :raises GuardError: when the body inflates beyond a ``limit`` that an ``option`` sets
    """
    if compression == UNCOMPRESSED:
        return _limited(chunks, limit, option)
    if _checked(compression) == "gzip":
        return gzip.decompress(chunks, limit=limit, option=option)
    return _decompress_zstd(chunks, limit, option)


class _Plain:
    def write(self, data: bytes | bytearray | memoryview) -> bytes | bytearray | memoryview:
        return data

    def flush(self) -> bytes:
        return b""

    finish = flush


class _Zstd:
    def __init__(self) -> None:
        compressor = zstd.ZstdCompressor(level=_LEVEL)
        self.write = compressor.compress
        self.flush = partial(compressor.flush, compressor.FLUSH_BLOCK)
        self.finish = partial(compressor.flush, compressor.FLUSH_FRAME)


class _Gzip:
    def __init__(self) -> None:
        compressor = isal_zlib.compressobj(level=_LEVEL, wbits=_GZIP)
        self.write = compressor.compress
        self.flush = partial(compressor.flush, isal_zlib.Z_SYNC_FLUSH)
        self.finish = partial(compressor.flush, isal_zlib.Z_FINISH)


class BlockCompressor:
    """Compresses blocks by zstd, each to its own frame; not thread-safe."""

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=_LEVEL)

    def compress(self, data: bytes | memoryview) -> bytes:
        """Return ``data`` as one frame."""
        return self._compressor.compress(data, self._compressor.FLUSH_FRAME)


def inflate_block(frame: bytes | memoryview, size: int) -> bytes:
    """Return the content of one zstd frame.

    :param size: bytes that the content must have
    :raises DamagedStreamError: when it is not a zstd frame, or its content has another size; at most ``size`` bytes are inflated
    """
    decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    try:
        data = decompressor.decompress(frame, size + 1)
    except zstd.ZstdError as error:
        raise DamagedStreamError(f"A block of content is damaged: {error}. Try again.") from error
    if len(data) != size or not decompressor.eof or decompressor.unused_data:
        raise DamagedStreamError(f"A block of content does not inflate to the {size} bytes that were announced. Try again.")
    return data


def _limited(chunks: Iterable[bytes], limit: int, option: str | None) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise too_large(limit, option)
        yield chunk


def _decompress_zstd(chunks: Iterable[bytes], limit: int, option: str | None) -> Iterator[bytes]:
    decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG})
    total = 0
    for chunk in chunks:
        if decompressor.eof and chunk:
            raise ProtocolError("Something follows the end of the zstd stream. Does a proxy change the body?")
        data = chunk
        while data or not (decompressor.needs_input or decompressor.eof):
            try:
                block = decompressor.decompress(data, BLOCK_BYTES)
            except zstd.ZstdError as error:
                raise DamagedStreamError(
                    f"The zstd stream is damaged after {total} inflated bytes: {error}. Try again."
                ) from error
            data = b""
            total += len(block)
            if total > limit:
                raise too_large(limit, option)
            if block:
                yield block
        if decompressor.unused_data:
            raise ProtocolError("Something follows the end of the zstd stream. Does a proxy change the body?")
    if not decompressor.eof:
        raise IncompleteStreamError(f"The body ended in the middle of its zstd stream, after {total} inflated bytes. Try again.")


def _checked(compression: str) -> str:
    if compression not in COMPRESSIONS:
        raise ProtocolError(f"The compression {compression!r} is unknown. Use one of: {', '.join(COMPRESSIONS)}.")
    return compression
