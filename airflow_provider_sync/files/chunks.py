"""Cut large files into chunks by their content.

A cut depends only on the few bytes before it, so that both versions have the same chunks around what was inserted, removed or
changed. The cuts are those of FastCDC 2020 with the parameters below, which both halves must share
(:data:`.CHUNKING` names them).
If they did not, more would be fetched than necessary, but the result would still be correct: the whole file is checked by its
digest. :mod:`.chunk_matching` finds the stretches of a new version that an old version contains.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import BinaryIO, Literal, Protocol, Self

from blake3 import blake3

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.protocol.v2.file_messages import CHUNK_DIGEST_BYTES, FILE_DIGEST_BYTES

MIN_CHUNK_BYTES = 32 * 1024
AVERAGE_CHUNK_BYTES = 64 * 1024
MAX_CHUNK_BYTES = 256 * 1024
NORMALIZATION: Literal[2] = 2

_BLOCK_BYTES = 4 * 1024 * 1024
_LENGTH_BYTES = 4

ChunkPiece = tuple[Sequence[int], bytes]
"""Consecutive chunks of a file: the length of each, and their digests, joined."""


@dataclass(frozen=True, slots=True)
class ChunkList:
    """The chunks of one version of a file, from its start: 20 bytes for each, about 280 KB for 1 GiB.

    :ivar lengths: bytes of each
    :ivar digests: the first :data:`CHUNK_DIGEST_BYTES` bytes of the BLAKE3 of each, joined
    :ivar digest: BLAKE3 of the whole file
    """

    lengths: array[int]
    digests: bytes | bytearray
    digest: bytes

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(self.lengths)

    def pieces(self, count: int) -> Iterator[ChunkPiece]:
        """Yield up to ``count`` chunks at once."""
        for start in range(0, len(self.lengths), count):
            yield self.lengths[start : start + count], bytes(self.digests[_at(start) : _at(start + count)])

    def to_bytes(self) -> bytes:
        """Return the list in the form that :meth:`from_bytes` reads, on any machine."""
        return b"".join((self.digest, _little_endian(self.lengths).tobytes(), self.digests))

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Return the list that :meth:`to_bytes` wrote.

        :raises ValueError: for data of a length that no list has
        """
        count, rest = divmod(len(data) - FILE_DIGEST_BYTES, _LENGTH_BYTES + CHUNK_DIGEST_BYTES)
        if count < 0 or rest:
            raise ValueError(f"A list of chunks cannot be {len(data)} bytes long.")
        end = FILE_DIGEST_BYTES + count * _LENGTH_BYTES
        lengths = array("I")
        lengths.frombytes(data[FILE_DIGEST_BYTES:end])
        return cls(_little_endian(lengths), data[end:], data[:FILE_DIGEST_BYTES])


class ChunkListBuilder:
    """Puts a list together from pieces, such as the messages of an answer."""

    def __init__(self) -> None:
        self._lengths = array("I")
        self._digests = bytearray()

    def add(self, lengths: Sequence[int], digests: bytes) -> None:
        """Append chunks, one or many."""
        self._lengths.extend(lengths)
        self._digests += digests

    def __len__(self) -> int:
        return len(self._lengths)

    def take(self) -> ChunkPiece:
        """Return the added chunks, and start with an empty list."""
        piece = self._lengths, bytes(self._digests)
        self._lengths, self._digests = array("I"), bytearray()
        return piece

    def finish(self, digest: bytes) -> ChunkList:
        """Return the list, with the digest of the whole file; nothing may be added any more."""
        return ChunkList(self._lengths, self._digests, digest)


class Cut(Protocol):
    """A chunk, as a cutter gives it."""

    @property
    def length(self) -> int:
        """Bytes of the chunk."""
        ...


class Cutter(Protocol):
    """Cuts content into chunks, as ``pyfastcdc.FastCDC`` does."""

    def cut_buf(self, buf: memoryview) -> Iterable[Cut]:
        """Yield the chunks of content; the last one may end only because the content does."""
        ...


def chunk_cutter() -> Cutter:
    """Return the cutter that both halves share."""
    # Imported here, so that only syncs of large files pay for it.
    from pyfastcdc import FastCDC

    return FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES, normalized_chunking=NORMALIZATION)


def cut_block(cutter: Cutter, block: memoryview, *, is_end: bool) -> array[int]:
    """Return the lengths of the chunks of a block, from its start, without those that may go on in the next block.

    :param is_end: whether no other block follows
    """
    lengths = array("I")
    left = len(block)
    for chunk in cutter.cut_buf(block):
        # Near the end of the block, a cut may be due to the end of the block only.
        if not is_end and left < MAX_CHUNK_BYTES:
            break
        lengths.append(chunk.length)
        left -= chunk.length
    return lengths


def digest_chunks(block: memoryview, lengths: Iterable[int]) -> bytes:
    """Return the digests of chunks that lie one after the other at the start of a block, joined."""
    start = 0
    digests = bytearray()
    for length in lengths:
        digests += blake3(block[start : start + length]).digest(CHUNK_DIGEST_BYTES)
        start += length
    return bytes(digests)


class FileChunks:
    """The chunks of a file, to be iterated once, while it is read; memory does not grow with its size.

    One thread reads and cuts while another digests, each at more than 1 GB a second.

    :param file: unbuffered, at its start
    :param size: bytes that it has
    :param digest: BLAKE3 of the whole file, if it is known: it is then not computed
    """

    def __init__(self, file: BinaryIO, size: int, *, digest: bytes | None = None) -> None:
        self._file = file
        self._size = size
        self._digest = digest
        self._whole = blake3()
        self._builder = ChunkListBuilder()

    def __iter__(self) -> Iterator[ChunkPiece]:
        """Yield some chunks at once, as soon as they are cut and digested.

        :raises FileChangedError: when the file has fewer bytes by now; the caller checks for other changes
        """
        cutter = chunk_cutter()
        left = self._size
        # One buffer is filled while the other is digested.
        buffers = [bytearray(min(left, _BLOCK_BYTES + MAX_CHUNK_BYTES)) for _ in range(2)]
        digesting: Future[ChunkPiece] | None = None
        rest = memoryview(b"")
        with ThreadPoolExecutor(1, "chunks") as pool:
            while left or rest:
                buffers.reverse()
                view = memoryview(buffers[0])
                view[: len(rest)] = rest
                end = len(rest) + min(left, len(view) - len(rest))
                _fill(self._file, view[len(rest) : end], self._size)
                left -= end - len(rest)
                lengths = cut_block(cutter, view[:end], is_end=not left)
                done = sum(lengths)
                digested = digesting.result() if digesting else None
                digesting = pool.submit(self._digest_block, view[:done], lengths)
                rest = view[done:end]
                if digested:
                    yield digested
            if digesting:
                yield digesting.result()

    def _digest_block(self, block: memoryview, lengths: array[int]) -> ChunkPiece:
        if self._digest is None:
            self._whole.update(block)
        piece = lengths, digest_chunks(block, lengths)
        self._builder.add(*piece)
        return piece

    def finish(self) -> ChunkList:
        """Return the list of all chunks, once the iteration has ended."""
        return self._builder.finish(self._digest or self._whole.digest())


def _fill(file: BinaryIO, view: memoryview, size: int) -> None:
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]  # every unbuffered file has it
        if not count:
            raise FileChangedError(
                f"A file of {size} bytes became shorter while it was cut into chunks. Try again when nobody writes to it."
            )
        view = view[count:]


def _at(chunk: int) -> int:
    return chunk * CHUNK_DIGEST_BYTES


def _little_endian(lengths: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return lengths
    swapped = lengths[:]
    swapped.byteswap()
    return swapped
