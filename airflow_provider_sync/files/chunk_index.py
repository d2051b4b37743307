"""Index the chunks of a file by digest, in about 40 bytes of memory each, and track the parts that are not cut yet."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable

from airflow_provider_sync.protocol.v2.file_messages import CHUNK_DIGEST_BYTES

_SLOTS = 1024
"""Initial number of slots of an index; a power of two."""


class ChunkIndex:
    """Chunks of one version of a file, found by digest. A dictionary would take four times the memory.

    :ivar following: number of the chunk after the one found last, which is preferred among equal chunks
    """

    def __init__(self) -> None:
        self._offsets = array("Q")
        self._lengths = array("I")
        self._digests = bytearray()
        # A hash table with open addressing: each slot has the number of a chunk, counted from 1, or 0 if it is free.
        self._slots = array("I", bytes(4 * _SLOTS))
        self.following = 0

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, offset: int, lengths: Iterable[int], digests: bytes | bytearray) -> None:
        """Add consecutive chunks.

        :param offset: of the first one
        :param digests: of all of them, joined
        """
        first = len(self._lengths)
        self._lengths.extend(lengths)
        self._digests += digests
        for number in range(first, len(self._lengths)):
            self._offsets.append(offset)
            offset += self._lengths[number]
            if 4 * number > 3 * len(self._slots):
                self._grow(number)
            self._enter(number)

    def _enter(self, number: int) -> None:
        slots, digest = self._slots, self._digest(number)
        slot = self._slot(digest)
        while taken := slots[slot]:
            # Of equal chunks, only the first is indexed.
            if self._digest(taken - 1) == digest:
                return
            slot = (slot + 1) % len(slots)
        slots[slot] = number + 1

    def _grow(self, count: int) -> None:
        self._slots = array("I", bytes(8 * len(self._slots)))
        for number in range(count):
            self._enter(number)

    def find(self, digest: bytes, length: int) -> int | None:
        """Return the offset of a chunk with this digest and length; ``None`` if there is none.

        Among equal chunks, such as zeros, the one after the chunk found last is preferred, which makes long stretches.
        """
        number = self.following
        if number == len(self._lengths) or self._digest(number) != digest:
            slots = self._slots
            slot = self._slot(digest)
            while (number := slots[slot] - 1) >= 0 and self._digest(number) != digest:
                slot = (slot + 1) % len(slots)
            if number < 0:
                return None
        if self._lengths[number] != length:
            return None
        self.following = number + 1
        return self._offsets[number]

    def _digest(self, number: int) -> bytes:
        return bytes(self._digests[number * CHUNK_DIGEST_BYTES : (number + 1) * CHUNK_DIGEST_BYTES])

    def _slot(self, digest: bytes) -> int:
        # Python's hash is salted in each process, so an attacker cannot choose digests for one slot.
        return hash(digest) % len(self._slots)


class UncutStretches:
    """The stretches of a file that are not cut into chunks yet.

    :param size: bytes of the file
    """

    def __init__(self, size: int) -> None:
        self._starts = [0] if size else []
        self._ends = [size] if size else []

    def end(self, offset: int) -> int:
        """Return the end of the stretch that contains an offset; the offset itself if none does."""
        number = bisect_right(self._starts, offset) - 1
        return max(offset, self._ends[number]) if number >= 0 else offset

    def next(self, offset: int) -> tuple[int, int] | None:
        """Return start and end of the first stretch from an offset on, or else of the first of all; ``None`` if none is left."""
        if not self._starts:
            return None
        if (end := self.end(offset)) > offset:
            return offset, end
        number = bisect_right(self._starts, offset) % len(self._starts)
        return self._starts[number], self._ends[number]

    def remove(self, start: int, end: int) -> None:
        """Remove a part that was cut into chunks."""
        number = bisect_right(self._starts, start) - 1
        left = [(begin, until) for begin, until in ((self._starts[number], start), (end, self._ends[number])) if begin < until]
        self._starts[number : number + 1] = [begin for begin, _ in left]
        self._ends[number : number + 1] = [until for _, until in left]

    def clear(self) -> None:
        """Remove all stretches."""
        self._starts.clear()
        self._ends.clear()
