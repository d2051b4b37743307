"""Cut large files into chunks by their content, and find out which stretches of a new version an old one has.

A cut depends only on the few bytes before it, so that both versions have the same chunks around what was inserted, removed or
changed. The cuts are those of FastCDC 2020 with the parameters below, which both halves must share (:data:`CHUNKING` names them).
If they did not, more would be fetched than necessary, and nothing else would go wrong: the whole file is checked by its digest.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import BinaryIO, Literal, NamedTuple, Protocol, Self

from blake3 import blake3

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.protocol.v2.file_messages import CHUNK_DIGEST_BYTES, FILE_DIGEST_BYTES

MIN_CHUNK_BYTES = 32 * 1024
AVERAGE_CHUNK_BYTES = 64 * 1024
MAX_CHUNK_BYTES = 256 * 1024
NORMALIZATION: Literal[2] = 2

_BLOCK_BYTES = 4 * 1024 * 1024
_LENGTH_BYTES = 4


@dataclass(frozen=True, slots=True)
class ChunkList:
    """The chunks of one version of a file, from its start: 20 bytes for each, about 280 KB for 1 GiB.

    :ivar lengths: bytes of each
    :ivar digests: the first :data:`CHUNK_DIGEST_BYTES` bytes of the BLAKE3 of each, joined
    :ivar digest: BLAKE3 of the whole file
    """

    lengths: array[int]
    digests: bytes
    digest: bytes

    @property
    def size(self) -> int:
        """Bytes of the file."""
        return sum(self.lengths)

    def pieces(self, count: int) -> Iterator[tuple[Sequence[int], bytes]]:
        """Yield lengths and digests of up to ``count`` chunks at once."""
        for start in range(0, len(self.lengths), count):
            yield self.lengths[start : start + count], self.digests[_at(start) : _at(start + count)]

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

    def finish(self, digest: bytes) -> ChunkList:
        """Return the list, with the digest of the whole file."""
        return ChunkList(self._lengths, bytes(self._digests), digest)


class Stretch(NamedTuple):
    """A stretch of the source's version of a file.

    :ivar offset: where it begins in the source's version
    :ivar length: bytes
    :ivar local: where it begins in the target's version; ``None`` if it has to be fetched
    """

    offset: int
    length: int
    local: int | None


def missing_ranges(source: ChunkList, local: ChunkList) -> list[Stretch]:
    """Return how to make the source's version of a file: every stretch of it in order, joined as far as possible.

    Appended data, for one, comes out as one stretch that is copied and one that is fetched.

    :param local: the target's version
    """
    offsets = array("Q", accumulate(local.lengths, initial=0))
    places: dict[bytes, int] = {}
    for place in range(len(local.lengths)):
        places.setdefault(local.digests[_at(place) : _at(place + 1)], place)
    plan: list[Stretch] = []
    offset = 0
    following = 0
    for number, length in enumerate(source.lengths):
        digest = source.digests[_at(number) : _at(number + 1)]
        # Of several equal chunks, such as zeros, the one after the previous chunk makes the longest stretch.
        found = following if local.digests[_at(following) : _at(following + 1)] == digest else places.get(digest)
        here = None
        if found is not None and local.lengths[found] == length:
            following = found + 1
            here = offsets[found]
        if plan and _continues(plan[-1], here):
            plan[-1] = plan[-1]._replace(length=plan[-1].length + length)
        else:
            plan.append(Stretch(offset, length, here))
        offset += length
    return plan


def _continues(stretch: Stretch, local: int | None) -> bool:
    if stretch.local is None or local is None:
        return stretch.local is local
    return stretch.local + stretch.length == local


class _Hash(Protocol):
    def update(self, data: memoryview, /) -> object: ...


def chunk_file(file: BinaryIO, size: int, *, digest: bytes | None = None) -> ChunkList:
    """Read a file, cut it into chunks and digest it; memory does not grow with its size.

    One thread reads and cuts while another digests, each at more than 1 GB a second.

    :param file: unbuffered, at its start
    :param size: bytes that it has
    :param digest: BLAKE3 of the whole file, if it is known: it is then not computed
    :raises FileChangedError: when it has fewer by now; the caller checks for other changes
    """
    # Only who syncs large files pays for the import.
    from pyfastcdc import FastCDC

    cutter = FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES, normalized_chunking=NORMALIZATION)
    chunks = ChunkListBuilder()
    whole = blake3()
    digested = whole if digest is None else None
    # One buffer is filled while the other is digested.
    buffers = [bytearray(min(size, _BLOCK_BYTES + MAX_CHUNK_BYTES)) for _ in range(2)]
    digesting: Future[None] | None = None
    left = size
    rest = memoryview(b"")
    with ThreadPoolExecutor(1, "chunks") as pool:
        while left or rest:
            buffers.reverse()
            view = memoryview(buffers[0])
            view[: len(rest)] = rest
            end = len(rest) + min(left, len(view) - len(rest))
            _fill(file, view[len(rest) : end], size)
            left -= end - len(rest)
            lengths = array("I")
            done = 0
            for chunk in cutter.cut_buf(view[:end]):
                # Nearer to the end of the block, the cut may be that of the block.
                if left and end - done < MAX_CHUNK_BYTES:
                    break
                lengths.append(chunk.length)
                done += chunk.length
            if digesting:
                digesting.result()
            digesting = pool.submit(_digest, view[:done], lengths, digested, chunks)
            rest = view[done:end]
        if digesting:
            digesting.result()
    return chunks.finish(digest or whole.digest())


def _fill(file: BinaryIO, view: memoryview, size: int) -> None:
    while view:
        count = file.readinto(view)  # type: ignore[attr-defined]  # every unbuffered file has it
        if not count:
            raise FileChangedError(
                f"A file of {size} bytes became shorter while it was cut into chunks. Try again when nobody writes to it."
            )
        view = view[count:]


def _digest(view: memoryview, lengths: Sequence[int], whole: _Hash | None, chunks: ChunkListBuilder) -> None:
    if whole is not None:
        whole.update(view)
    start = 0
    digests = bytearray()
    for length in lengths:
        digests += blake3(view[start : start + length]).digest(CHUNK_DIGEST_BYTES)
        start += length
    chunks.add(lengths, bytes(digests))


def _at(chunk: int) -> int:
    return chunk * CHUNK_DIGEST_BYTES


def _little_endian(lengths: array[int]) -> array[int]:
    if sys.byteorder == "little":
        return lengths
    swapped = lengths[:]
    swapped.byteswap()
    return swapped
