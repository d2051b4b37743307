"""Which stretches of a new version an old one has, and how little of that is read to know it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from pyfastcdc import FastCDC

from airflow_provider_sync.files.chunk_matching import BLOCK_BYTES, ChunkMatching, Stretch
from airflow_provider_sync.files.chunks import MAX_CHUNK_BYTES, ChunkList, ChunkListBuilder
from airflow_provider_sync.protocol.v2.file_messages import CHUNK_DIGEST_BYTES
from tests.files.test_chunks import MIB, chunks_of, noise, text

SMALL: Any = FastCDC(256, min_size=64, max_size=1024, normalized_chunking=2)
"""Cuts chunks of a few hundred bytes, so that small examples have many."""


def small_chunks(data: bytes) -> ChunkList:
    """Return the chunks that :data:`SMALL` cuts."""
    builder = ChunkListBuilder()
    for chunk in SMALL.cut_buf(data):
        builder.add([chunk.length], blake3(chunk.data).digest(CHUNK_DIGEST_BYTES))
    return builder.finish(blake3(data).digest())


class Old(io.BytesIO):
    """An old version; it counts the bytes that are read of it."""

    count = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read some bytes."""
        found = super().readinto(buffer)
        self.count += found
        return found


class Kept:
    """As many buffers as are asked for."""

    def take(self) -> memoryview:
        """Return a new one."""
        return memoryview(bytearray(BLOCK_BYTES))

    def give_back(self, data: memoryview) -> None:
        """Make it unusable."""
        data.obj[:] = bytes(BLOCK_BYTES)  # type: ignore[index]


def plan_of(new: bytes, old: bytes, *, piece: int = 100) -> list[Stretch]:
    """Return how to make a new version from an old one of which no chunks are known."""
    return list(ChunkMatching(Old(old), len(old)).stretches(chunks_of(new).pieces(piece)))


def small_plans(new: bytes, old: bytes) -> Iterator[list[Stretch]]:
    """Return the same for small chunks: with and without bytes in memory, and where the old version's chunks are known."""
    pieces = list(small_chunks(new).pieces(7))
    for options in ({}, {"buffers": Kept()}, {"known": small_chunks(old)}):
        yield list(ChunkMatching(Old(old), len(old), cutter=SMALL, **options).stretches(pieces))  # type: ignore[arg-type]


def put_together(plan: list[Stretch], new: bytes, old: bytes) -> bytes:
    """Do what a plan says."""
    made = bytearray()
    for offset, length, local, data in plan:
        assert offset == len(made)
        made += new[offset : offset + length] if local is None else old[local : local + length]
        assert data is None or data == made[offset:]
    return bytes(made)


def fetched(plan: list[Stretch]) -> int:
    """Return the number of bytes that have to be fetched."""
    return sum(stretch.length for stretch in plan if stretch.local is None)


@given(new=st.binary(max_size=6000), old=st.binary(max_size=6000))
def test_a_plan_makes_the_new_version(new: bytes, old: bytes) -> None:
    """For any two versions of a file, the plan produces the bytes of the new version."""
    for plan in small_plans(new, old):
        assert put_together(plan, new, old) == new


@given(st.lists(st.tuples(st.integers(0, 15), st.integers(0, 3000), st.integers(0, 700)), max_size=8), st.booleans())
def test_a_plan_makes_the_new_version_of_an_edited_one(edits: list[tuple[int, int, int]], repeats: bool) -> None:
    """After inserts, removals, moves and repeats, the plan produces the new bytes and reuses old stretches."""
    old = noise(8_000) + (bytes(5_000) + noise(2_000)) * (1 + repeats)
    new = bytearray(old)
    for kind, offset, length in edits:
        if kind < 5:
            new[offset:offset] = noise(length, b"%d" % kind)
        elif kind < 10:
            del new[offset : offset + length]
        else:
            new += new[offset : offset + length]
    plans = list(small_plans(bytes(new), old))
    for plan in plans:
        assert put_together(plan, bytes(new), old) == new
        for one, other in pairwise(plan):
            if one.local is None or other.local is None:
                assert (one.local is None) != (other.local is None)
            else:
                assert other.data or one.data or one.local + one.length != other.local
    # To cut all of the old version at first finds the most.
    assert fetched(plans[0]) == fetched(plans[1]) <= fetched(plans[2]) + 4 * 1024


def test_an_equal_version_is_read_once_and_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """An equal file fetches nothing, reads each byte once, and gives a plan of one stretch."""
    data = noise(5 * MIB)
    old = Old(data)
    plan = list(ChunkMatching(old, len(data), cutter=None).stretches(chunks_of(data).pieces(100)))
    assert plan == [Stretch(0, 5 * MIB, 0)]
    assert old.count <= len(data) + 5 * MAX_CHUNK_BYTES
    with monkeypatch.context() as patched:
        patched.setattr("airflow_provider_sync.files.chunk_matching.cut_block", lambda *_, **__: pytest.fail("It was cut."))
        assert plan_of(data, data) == plan


def test_an_old_version_of_known_chunks_is_not_read() -> None:
    """If the chunks of the old version are known, only the two lists of chunks are compared."""
    data = noise(8 * MIB)
    old = Old(data)
    matching = ChunkMatching(old, len(data), known=chunks_of(data))
    assert list(matching.stretches(chunks_of(data[MIB:]).pieces(100)))[-1].local is not None
    assert old.count == 0


def test_appended_data_is_what_is_fetched() -> None:
    """For a log that grew, the old part is one stretch, and little more than the new lines is fetched."""
    old, new = text(3 * MIB), text(3 * MIB + 20_000)
    plan = plan_of(new, old)
    assert [stretch.local for stretch in plan] == [0, None]
    assert 20_000 <= fetched(plan) <= 20_000 + MAX_CHUNK_BYTES


@pytest.mark.parametrize("piece", [1, 4096])
def test_an_insertion_costs_its_chunk(piece: int) -> None:
    """100 bytes inserted near the start of a file fetch a few chunks, not all the bytes that moved."""
    old = noise(12 * MIB)
    new = old[:1000] + b"x" * 100 + old[1000:]
    plan = plan_of(new, old, piece=piece)
    assert fetched(plan) <= 2 * MAX_CHUNK_BYTES
    assert put_together(plan, new, old) == new


@pytest.mark.parametrize(
    ("new", "most"),
    [
        pytest.param(lambda old: old[9 * MIB :], 2 * MAX_CHUNK_BYTES, id="the beginning removed"),
        pytest.param(lambda old: old[: 2 * MIB] + old[9 * MIB :], 2 * MAX_CHUNK_BYTES, id="a stretch removed"),
        pytest.param(lambda old: old[9 * MIB :] + old[: 9 * MIB], 2 * MAX_CHUNK_BYTES, id="two halves exchanged"),
        pytest.param(lambda old: old[: 3 * MIB] + noise(4 * MIB, b"new") + old[3 * MIB :], 5 * MIB, id="much inserted"),
        pytest.param(lambda old: old[: 3 * MIB] + noise(4 * MIB, b"new") + old[7 * MIB :], 5 * MIB, id="much replaced"),
        pytest.param(lambda old: old + old[5 * MIB : 8 * MIB], 2 * MAX_CHUNK_BYTES, id="a stretch repeated"),
        pytest.param(lambda old: noise(20 * MIB, b"new") + old, 20 * MIB + 2 * MAX_CHUNK_BYTES, id="much before all"),
    ],
)
def test_what_moved_far_is_found(new: Any, most: int) -> None:
    """A stretch that moved to any other place in the file is found and not fetched."""
    old = noise(12 * MIB)
    plan = plan_of(new(old), old)
    assert fetched(plan) <= most
    assert put_together(plan, new(old), old) == new(old)


def test_zeros_make_long_stretches() -> None:
    """If many chunks are equal, the plan takes consecutive ones."""
    old = noise(MIB) + bytes(8 * MIB) + noise(MIB, b"end")
    new = b"inserted" + old
    for plan in (
        plan_of(new, old),
        list(ChunkMatching(Old(old), len(old), known=chunks_of(old)).stretches(chunks_of(new).pieces(9))),
    ):
        assert put_together(plan, new, old) == new
        assert fetched(plan) <= 2 * MAX_CHUNK_BYTES
        assert len(plan) <= 5


def test_everything_of_another_file_is_fetched() -> None:
    """If the versions share no chunk, the whole file is fetched."""
    assert plan_of(noise(MIB, b"new"), noise(MIB)) == [Stretch(0, MIB, None)]
    assert plan_of(noise(MIB), b"") == [Stretch(0, MIB, None)]
    assert plan_of(b"", noise(MIB)) == []


class Failing(Old):
    """An old version that cannot be read beyond its first part."""

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fail."""
        if self.tell() >= 2 * MIB:
            raise OSError("The disk is broken")
        return super().readinto(buffer)


@pytest.mark.parametrize("kind", [Failing, Old])
def test_an_old_version_that_cannot_be_read_any_further(kind: type[Old]) -> None:
    """If the old version ends too early or its disk fails, the rest is fetched."""
    data = noise(4 * MIB)
    old = kind(data if kind is Failing else data[: 2 * MIB])
    plan = list(ChunkMatching(old, len(data)).stretches(chunks_of(data).pieces(100)))
    assert [stretch.local for stretch in plan] == [0, None]
    assert MIB <= plan[0].length <= (3 if kind is Failing else 2) * MIB


def test_chunks_that_nobody_cuts_are_fetched() -> None:
    """A list of impossible chunks matches nothing, and the plan fetches exactly the sizes that it states."""
    old = noise(4 * MIB)
    lengths = [2 * MIB, (1 << 32) - 1, 1, 5]
    plan = list(ChunkMatching(Old(old), len(old)).stretches([(lengths, bytes(64))]))
    assert {stretch.local for stretch in plan} == {None}
    assert fetched(plan) == sum(lengths)


def test_bytes_that_are_wanted_only_from_an_offset() -> None:
    """Bytes before the offset are not kept in memory again; the plan has the bytes after it."""
    data = noise(4 * MIB)
    matching = ChunkMatching(Old(data), len(data), buffers=Kept(), keep_from=2 * MIB)
    plan = list(matching.stretches(chunks_of(data).pieces(100)))
    assert put_together(plan, data, data) == data
    assert {(stretch.offset >= 2 * MIB) == (stretch.data is not None) for stretch in plan} == {True}
