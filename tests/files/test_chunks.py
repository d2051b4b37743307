"""Chunks of large files: where they are cut, and how their list travels."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from typing import BinaryIO

import pytest
from blake3 import blake3
from pyfastcdc import FastCDC

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.chunks import (
    AVERAGE_CHUNK_BYTES,
    MAX_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    NORMALIZATION,
    ChunkList,
    ChunkListBuilder,
    FileChunks,
)
from airflow_provider_sync.protocol.v2.file_messages import CHUNK_DIGEST_BYTES

MIB = 1024 * 1024


def noise(size: int, seed: bytes = b"chunks") -> bytes:
    """Return bytes that are the same on every machine and look random."""
    return blake3(seed).digest(length=size)


def text(size: int) -> bytes:
    """Return lines of a log."""
    lines = b"".join(b"2026-11-29T08:15:%02d GET /orders/%d 200\n" % (number % 60, number) for number in range(size // 38 + 1))
    return lines[:size]


def chunks_of(data: bytes) -> ChunkList:
    """Return the chunks of content in memory."""
    return list_chunks(Content(data), len(data))


def list_chunks(file: BinaryIO, size: int, *, digest: bytes | None = None) -> ChunkList:
    """Return the chunks of a file."""
    chunks = FileChunks(file, size, digest=digest)
    pieces = ChunkListBuilder()
    for lengths, digests in chunks:
        pieces.add(lengths, digests)
    found = chunks.finish()
    assert pieces.finish(found.digest) == found
    return found


class Content(io.RawIOBase):
    """Content that comes in pieces of any size, as from a slow disk or an object store."""

    def __init__(self, data: bytes, piece: int = 3 * MIB) -> None:
        self._left = memoryview(data)
        self._piece = piece

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read a piece."""
        count = min(len(buffer), len(self._left), self._piece)
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


@pytest.mark.parametrize(
    ("data", "count", "first", "fingerprint"),
    [
        pytest.param(noise(5 * MIB), 68, [70295, 82614, 76864, 103786], "0e2a863cff588b9a", id="noise"),
        pytest.param(text(5 * MIB), 59, [118950, 85854, 109065, 90639], "5672130af860d799", id="text"),
        pytest.param(bytes(MIB + 1), 5, [262144, 262144, 262144, 262144], "536b3df1ea6649d6", id="zeros"),
    ],
)
def test_cuts_are_the_same_everywhere(data: bytes, count: int, first: list[int], fingerprint: str) -> None:
    """Every machine and every release of the library cuts the same content at the same places."""
    chunks = chunks_of(data)
    assert len(chunks.lengths) == count
    assert list(chunks.lengths[:4]) == first
    assert hashlib.sha256(chunks.to_bytes()).hexdigest()[:16] == fingerprint


@pytest.mark.parametrize("piece", [MIB // 3 + 1, 16 * MIB])
@pytest.mark.parametrize("size", [0, 1, MIN_CHUNK_BYTES, 4 * MIB + MAX_CHUNK_BYTES, 9 * MIB + 7])
def test_a_file_is_cut_as_if_it_were_in_memory(size: int, piece: int) -> None:
    """Chunks and digest of a file are those of its content in memory, for any size of block and read."""
    data = noise(size)
    cutter = FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES, normalized_chunking=NORMALIZATION)
    expected = [(chunk.length, blake3(chunk.data).digest(CHUNK_DIGEST_BYTES)) for chunk in cutter.cut_buf(data)] if data else []
    chunks = list_chunks(Content(data, piece), size)
    assert list(chunks.lengths) == [length for length, _ in expected]
    assert chunks.digests == b"".join(digest for _, digest in expected)
    assert chunks.digest == blake3(data).digest()
    assert chunks.size == size
    assert list_chunks(Content(data, piece), size, digest=b"known") == replace(chunks, digest=b"known")


def test_more_than_the_announced_size_is_not_read() -> None:
    """Of a file that grows during the cut, only the announced size is read."""
    data = noise(6 * MIB)
    assert list_chunks(Content(data), 5 * MIB) == chunks_of(data[: 5 * MIB])


def test_a_file_that_became_shorter_is_refused() -> None:
    """A file that ends before its announced size is refused."""
    with pytest.raises(FileChangedError, match="became shorter while it was cut"):
        list_chunks(Content(noise(5 * MIB)), 5 * MIB + 1)


def test_memory_is_that_of_the_blocks() -> None:
    """A list takes 20 bytes for each chunk: at most 330 KB for 1 GiB."""
    chunks = chunks_of(noise(16 * MIB))
    assert len(chunks.to_bytes()) * 64 < 330_000


def test_pieces_make_the_list_again() -> None:
    """A list that is sent in pieces is the same list after it arrives."""
    chunks = chunks_of(noise(3 * MIB))
    builder = ChunkListBuilder()
    for lengths, digests in chunks.pieces(7):
        assert len(lengths) <= 7
        builder.add(lengths, digests)
    assert builder.finish(chunks.digest) == chunks


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_bytes_make_the_list_again(byteorder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stored list is read back as the same list, also on a machine with another byte order."""
    chunks = chunks_of(noise(MIB))
    assert ChunkList.from_bytes(chunks.to_bytes()) == chunks
    stored = chunks.to_bytes()
    monkeypatch.setattr("sys.byteorder", byteorder)
    assert ChunkList.from_bytes(chunks.to_bytes()) == chunks
    assert (chunks.to_bytes() == stored) == (byteorder == "little")


@pytest.mark.parametrize("length", [0, 31, 33, 51])
def test_bytes_of_an_impossible_length_are_refused(length: int) -> None:
    """Bytes whose length cannot be that of a stored list are refused."""
    with pytest.raises(ValueError, match=f"cannot be {length} bytes"):
        ChunkList.from_bytes(bytes(length))
