"""Chunks of large files: where they are cut, and what an old version saves."""

from __future__ import annotations

import hashlib
import io
from array import array
from dataclasses import replace
from itertools import pairwise

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.chunks import (
    AVERAGE_CHUNK_BYTES,
    MAX_CHUNK_BYTES,
    MIN_CHUNK_BYTES,
    NORMALIZATION,
    ChunkList,
    ChunkListBuilder,
    Stretch,
    chunk_file,
    missing_ranges,
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
    return chunk_file(Content(data), len(data))


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


def small_chunks(data: bytes) -> ChunkList:
    """Return chunks of a few hundred bytes, so that small examples have many."""
    builder = ChunkListBuilder()
    for chunk in FastCDC(256, min_size=64, max_size=1024, normalized_chunking=2).cut_buf(data):
        builder.add([chunk.length], blake3(chunk.data).digest(CHUNK_DIGEST_BYTES))
    return builder.finish(blake3(data).digest())


def put_together(plan: list[Stretch], source: bytes, local: bytes) -> bytes:
    """Do what a plan says."""
    made = bytearray()
    for offset, length, place in plan:
        assert offset == len(made)
        made += source[offset : offset + length] if place is None else local[place : place + length]
    return bytes(made)


def fetched(plan: list[Stretch]) -> int:
    """Return the number of bytes that have to be fetched."""
    return sum(stretch.length for stretch in plan if stretch.local is None)


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
    """A file is cut, and digested as a whole, as if all of it were in memory, whatever the size of blocks and reads."""
    data = noise(size)
    cutter = FastCDC(AVERAGE_CHUNK_BYTES, min_size=MIN_CHUNK_BYTES, max_size=MAX_CHUNK_BYTES, normalized_chunking=NORMALIZATION)
    expected = [(chunk.length, blake3(chunk.data).digest(CHUNK_DIGEST_BYTES)) for chunk in cutter.cut_buf(data)] if data else []
    chunks = chunk_file(Content(data, piece), size)
    assert list(chunks.lengths) == [length for length, _ in expected]
    assert chunks.digests == b"".join(digest for _, digest in expected)
    assert chunks.digest == blake3(data).digest()
    assert chunks.size == size
    assert chunk_file(Content(data, piece), size, digest=b"known") == replace(chunks, digest=b"known")


def test_more_than_the_announced_size_is_not_read() -> None:
    """A file that grows while it is cut is cut as it was."""
    data = noise(6 * MIB)
    assert chunk_file(Content(data), 5 * MIB) == chunks_of(data[: 5 * MIB])


def test_a_file_that_became_shorter_is_refused() -> None:
    """A file that ends too early has no chunks."""
    with pytest.raises(FileChangedError, match="became shorter while it was cut"):
        chunk_file(Content(noise(5 * MIB)), 5 * MIB + 1)


def test_memory_is_that_of_the_blocks() -> None:
    """A list takes 20 bytes for each chunk, so 330 KB for 1 GiB at most."""
    chunks = chunks_of(noise(16 * MIB))
    assert len(chunks.to_bytes()) * 64 < 330_000


def test_pieces_make_the_list_again() -> None:
    """A list that travels in pieces is the same list."""
    chunks = chunks_of(noise(3 * MIB))
    builder = ChunkListBuilder()
    for lengths, digests in chunks.pieces(7):
        assert len(lengths) <= 7
        builder.add(lengths, digests)
    assert builder.finish(chunks.digest) == chunks


@pytest.mark.parametrize("byteorder", ["little", "big"])
def test_bytes_make_the_list_again(byteorder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was stored is the same list, also on a machine with another order of bytes."""
    chunks = chunks_of(noise(MIB))
    assert ChunkList.from_bytes(chunks.to_bytes()) == chunks
    stored = chunks.to_bytes()
    monkeypatch.setattr("sys.byteorder", byteorder)
    assert ChunkList.from_bytes(chunks.to_bytes()) == chunks
    assert (chunks.to_bytes() == stored) == (byteorder == "little")


@pytest.mark.parametrize("length", [0, 31, 33, 51])
def test_bytes_of_an_impossible_length_are_refused(length: int) -> None:
    """What cannot be a stored list is refused."""
    with pytest.raises(ValueError, match=f"cannot be {length} bytes"):
        ChunkList.from_bytes(bytes(length))


@given(source=st.binary(max_size=6000), local=st.binary(max_size=6000))
def test_a_plan_makes_the_source(source: bytes, local: bytes) -> None:
    """Whatever both versions are, the plan makes the source's bytes."""
    plan = missing_ranges(small_chunks(source), small_chunks(local))
    assert put_together(plan, source, local) == source


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3000), st.integers(0, 700)), max_size=8), st.booleans())
def test_a_plan_makes_the_source_from_an_edited_version(edits: list[tuple[int, int, int]], repeats: bool) -> None:
    """Whatever was inserted, removed, moved or repeated, the plan makes the source's bytes and joins neighbours."""
    local = noise(8_000) + (bytes(5_000) + noise(2_000)) * (1 + repeats)
    source = bytearray(local)
    for kind, offset, length in edits:
        if kind < 5:
            source[offset:offset] = noise(length, b"%d" % kind)
        elif kind < 10:
            del source[offset : offset + length]
        else:
            source += source[offset : offset + length]
    plan = missing_ranges(small_chunks(bytes(source)), small_chunks(local))
    assert put_together(plan, bytes(source), local) == source
    for one, other in pairwise(plan):
        if one.local is None or other.local is None:
            assert (one.local is None) != (other.local is None)
        else:
            assert one.local + one.length != other.local


def test_equal_versions_are_one_stretch() -> None:
    """Nothing is fetched for an equal file, and it is copied at once."""
    chunks = chunks_of(noise(2 * MIB))
    assert missing_ranges(chunks, chunks) == [Stretch(0, 2 * MIB, 0)]


def test_appended_data_is_what_is_fetched() -> None:
    """Of a log that grew, the old part is one stretch, and not much more than the new lines is fetched."""
    old, new = text(3 * MIB), text(3 * MIB + 20_000)
    plan = missing_ranges(chunks_of(new), chunks_of(old))
    assert [stretch.local for stretch in plan] == [0, None]
    assert 20_000 <= fetched(plan) <= 20_000 + MAX_CHUNK_BYTES


def test_an_insertion_costs_its_chunk() -> None:
    """100 bytes near the start of a file cost a few chunks, not all that moved."""
    old = noise(4 * MIB)
    new = old[:1000] + b"x" * 100 + old[1000:]
    plan = missing_ranges(chunks_of(new), chunks_of(old))
    assert fetched(plan) <= 2 * MAX_CHUNK_BYTES
    assert put_together(plan, new, old) == new


def test_everything_of_another_file_is_fetched() -> None:
    """Without common chunks the file is fetched as a whole."""
    new = chunks_of(noise(MIB, b"new"))
    assert missing_ranges(new, chunks_of(noise(MIB))) == [Stretch(0, MIB, None)]
    assert missing_ranges(new, ChunkListBuilder().finish(b"")) == [Stretch(0, MIB, None)]
    assert missing_ranges(ChunkListBuilder().finish(b""), new) == []


def test_a_chunk_of_another_length_is_fetched() -> None:
    """A list that gives one digest to chunks of two lengths is not believed."""
    digest = bytes(CHUNK_DIGEST_BYTES)
    source, local = ChunkList(array("I", [10]), digest, b""), ChunkList(array("I", [11]), digest, b"")
    assert missing_ranges(source, local) == [Stretch(0, 10, None)]
