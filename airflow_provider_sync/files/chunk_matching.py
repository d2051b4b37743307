"""Find the stretches of a new version of a file that an old version contains, while the new version's chunks arrive.

Most content of a changed file is at its old offset, or shifted by what was inserted. So each chunk is first compared with the
bytes at the expected offset: digesting them is a third of the work of cutting the old version into chunks. The old version is cut
only if they differ: a little at first, and more the longer nothing is found, until all of it is known::

    new version    | a | b |  inserted  | d | e | f | g …      compared at the place:  a b, and f g … shifted by what was inserted
    old version    | a | b | c | d | e | f | g …               cut:                    c d e
"""

from __future__ import annotations

import logging
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, Protocol

from blake3 import blake3

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.chunk_index import ChunkIndex, UncutStretches
from airflow_provider_sync.files.chunks import (
    ChunkList,
    ChunkPiece,
    Cutter,
    chunk_cutter,
    cut_block,
    digest_chunks,
)
from airflow_provider_sync.protocol.v2.file_messages import CHUNK_DIGEST_BYTES

log = logging.getLogger(__name__)

BLOCK_BYTES = 1024 * 1024
"""Number of bytes of the old version that are read at a time."""

_JOINED_BYTES = 16 * 1024 * 1024
"""Maximum size, in bytes, to which consecutive stretches are joined, so that copying can start before the last one is found."""

_CUT_BYTES = 512 * 1024
_CUT_FACTOR = 4
"""Number of bytes of the old version that may be cut for each byte that was not found, besides :data:`_CUT_BYTES`."""


class Stretch(NamedTuple):
    """A stretch of the source's version of a file.

    :ivar offset: its offset in the source's version
    :ivar length: its length in bytes
    :ivar local: its offset in the target's version; ``None`` if it has to be fetched
    :ivar data: its bytes, if they were already read and compared; in a buffer that has to be given back
    """

    offset: int
    length: int
    local: int | None
    data: memoryview | None = None


class BlockBuffers(Protocol):
    """Buffers of :data:`BLOCK_BYTES` for what is read ahead."""

    def take(self) -> memoryview | None:
        """Return a buffer; ``None`` if the bytes should be read again instead of being kept."""
        ...

    def give_back(self, data: memoryview) -> None:
        """Take back a buffer, or a part of it, that is no longer used."""
        ...


class NoBuffers:
    """Keeps nothing that was read."""

    def take(self) -> None:
        """Return ``None``."""

    def give_back(self, data: memoryview) -> None:
        """Do nothing: none was taken."""


class ChunkMatching:
    """The comparison of one file with its old version.

    :param old: the old version, unbuffered; since all bytes read are compared, it may change in the meantime
    :param size: size of the old version in bytes
    :param known: the chunks of the old version, if known; then it is not read
    :param buffers: buffers for stretches that are yielded with their bytes
    :param keep_from: offset in the new version before which stretches are yielded without bytes
    """

    def __init__(
        self,
        old: BinaryIO,
        size: int,
        *,
        known: ChunkList | None = None,
        buffers: BlockBuffers | None = None,
        keep_from: int = 0,
        cutter: Cutter | None = None,
    ) -> None:
        self._old = old
        self._buffers = buffers or NoBuffers()
        self._keep_from = keep_from
        self._cutter = cutter or chunk_cutter()
        self._own = memoryview(bytearray(min(size, BLOCK_BYTES)))
        self._index = ChunkIndex()
        self._uncut = UncutStretches(size)
        if known is not None:
            self._index.add(0, known.lengths, known.digests)
            self._uncut.clear()
        # Offset of the next chunk in the new version, and its expected offset in the old one.
        self._offset = 0
        self._place = 0
        self._missing = _Missing()
        self._cut_from = 0
        self._cut_bytes = 0

    def stretches(self, pieces: Iterable[ChunkPiece]) -> Iterator[Stretch]:
        """Yield all stretches of the new version in order, joined as far as possible.

        :param pieces: the chunks of the new version, from its start
        """
        return _joined(self._stretches(pieces))

    def _stretches(self, pieces: Iterable[ChunkPiece]) -> Iterator[Stretch]:
        for lengths, digests in pieces:
            number = 0
            while number < len(lengths):
                found = self._compare(lengths, digests, number) if not self._missing else None
                if found is not None:
                    stretch, count = found
                    yield stretch
                    number += count
                else:
                    yield from self._look_up(lengths[number], digests[_at(number) : _at(number + 1)])
                    number += 1
        yield from self._end_missing()

    def _compare(self, lengths: Sequence[int], digests: bytes, first: int) -> tuple[Stretch, int] | None:
        """Compare chunks, as many as fit in a block, with the bytes at the expected offset.

        :return: the stretch of equal chunks, and their number; ``None`` if the first differs
        """
        place = self._place
        room = min(self._uncut.end(place) - place, BLOCK_BYTES)
        last = first
        size = 0
        while last < len(lengths) and size + lengths[last] <= room:
            size += lengths[last]
            last += 1
        if last == first:
            return None
        kept = self._buffers.take() if self._offset >= self._keep_from else None
        block = (self._own if kept is None else kept)[:size]
        count = size = 0
        if self._read(place, block):
            for number in range(first, last):
                digest = blake3(block[size : size + lengths[number]]).digest(CHUNK_DIGEST_BYTES)
                if digest != digests[_at(number) : _at(number + 1)]:
                    break
                size += lengths[number]
                count += 1
        if not count:
            if kept is not None:
                self._buffers.give_back(kept)
            return None
        last = first + count
        self._index.add(place, lengths[first:last], digests[_at(first) : _at(last)])
        self._index.following = len(self._index)
        self._uncut.remove(place, place + size)
        stretch = Stretch(self._offset, size, place, None if kept is None else block[:size])
        self._go_on(size, place)
        return stretch, count

    def _look_up(self, length: int, digest: bytes) -> Iterator[Stretch]:
        """Look for a chunk in what is cut of the old version, and cut more of it if it is not there."""
        if not self._missing:
            self._cut_from, self._cut_bytes = self._place, 0
        place = self._find(length, digest)
        if place is not None:
            yield from self._end_missing()
            yield Stretch(self._offset, length, place)
        else:
            self._missing.add(length, digest)
            if self._missing.size >= _JOINED_BYTES and self._uncut.next(0) is None:
                # Nothing can turn up any more.
                yield from self._end_missing(self._offset + length)
        self._go_on(length, self._place if place is None else place)

    def _find(self, length: int, digest: bytes) -> int | None:
        place = self._index.find(digest, length)
        while place is None and self._cut_bytes <= _CUT_BYTES + _CUT_FACTOR * self._missing.size and self._cut_more():
            place = self._index.find(digest, length)
        return place

    def _cut_more(self) -> bool:
        """Cut the next block of the old version; return whether there was any."""
        stretch = self._uncut.next(self._cut_from)
        if stretch is None:
            return False
        start, end = stretch
        block = self._own[: end - start]
        if not self._read(start, block):
            return False
        lengths = cut_block(self._cutter, block, is_end=len(block) == end - start)
        self._index.add(start, lengths, digest_chunks(block, lengths))
        size = sum(lengths)
        self._uncut.remove(start, start + size)
        self._cut_from = start + size
        self._cut_bytes += size
        return True

    def _end_missing(self, end: int | None = None) -> Iterator[Stretch]:
        """Yield the chunks that were not found, some of which may have been found since.

        :param end: their end in the new version, if that is not the offset of the next chunk
        """
        missing, self._missing = self._missing, _Missing()
        offset = (self._offset if end is None else end) - missing.size
        following = self._index.following
        for length, digest in missing:
            yield Stretch(offset, length, self._index.find(digest, length))
            offset += length
        self._index.following = following

    def _go_on(self, length: int, place: int) -> None:
        self._offset += length
        self._place = place + length

    def _read(self, place: int, block: memoryview) -> bool:
        """Read a block of the old version; if that fails, stop searching the rest of it."""
        try:
            self._old.seek(place)
            filled = 0
            while filled < len(block) and (count := self._old.readinto(block[filled:])):  # type: ignore[attr-defined]  # every unbuffered file has it
                filled += count
        except (FileError, OSError) as error:
            log.info("The old version cannot be read any further, so that more of the new one is fetched: %s", error)
            filled = 0
        if filled < len(block):
            self._uncut.clear()
        return filled == len(block)


class _Missing:
    """Chunks in a row that were not found so far: 20 bytes for each."""

    def __init__(self) -> None:
        self.size = 0
        self._lengths = array("I")
        self._digests = bytearray()

    def add(self, length: int, digest: bytes) -> None:
        self.size += length
        self._lengths.append(length)
        self._digests += digest

    def __len__(self) -> int:
        return len(self._lengths)

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for number, length in enumerate(self._lengths):
            yield length, bytes(self._digests[_at(number) : _at(number + 1)])


def _joined(stretches: Iterable[Stretch]) -> Iterator[Stretch]:
    """Join stretches that continue each other, but for those that come with their bytes."""
    waiting: Stretch | None = None
    for stretch in stretches:
        if waiting is not None and _continues(waiting, stretch):
            waiting = waiting._replace(length=waiting.length + stretch.length)
            continue
        if waiting is not None:
            yield waiting
        waiting = stretch
        if stretch.data is not None:
            yield stretch
            waiting = None
    if waiting is not None:
        yield waiting


def _continues(one: Stretch, other: Stretch) -> bool:
    if other.data is not None or one.length >= _JOINED_BYTES:
        return False
    if one.local is None or other.local is None:
        return one.local is other.local
    return one.local + one.length == other.local


def _at(chunk: int) -> int:
    return chunk * CHUNK_DIGEST_BYTES
