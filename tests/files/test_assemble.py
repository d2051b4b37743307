"""New versions of large files, put together from the old one and from what is fetched."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileChangedError, FileError, TransportError
from airflow_provider_sync.files.assemble import after, assemble, fetched_ranges, whole_file
from airflow_provider_sync.files.chunk_matching import ChunkMatching, Stretch
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree_writer import Metadata, TreeWriter
from tests.files.conftest import tree
from tests.files.test_chunks import Content, chunks_of, list_chunks, noise

MIB = 1024 * 1024
OLD = noise(20 * MIB)
NEW = OLD[:1000] + b"inserted" * 12 + OLD[1000 : 15 * MIB] + noise(100_000, b"changed") + OLD[15 * MIB + 100_000 :]
PLAIN = Metadata()


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """A directory with the old version, ``x``."""
    (root / "x").write_bytes(OLD)
    return LocalStorage(root)


def sent(plan: Iterable[Stretch], content: bytes = NEW, piece: int = 70_001) -> Iterator[bytes]:
    """Send what a plan needs, cut anywhere."""
    stream = b"".join(content[offset : offset + length] for offset, length in fetched_ranges(plan))
    return (stream[start : start + piece] for start in range(0, len(stream), piece))


def how_to_make(new: bytes, old: bytes) -> list[Stretch]:
    """Return the plan of a new version."""
    matching = ChunkMatching(Content(old), len(old), known=chunks_of(old))
    return list(matching.stretches(chunks_of(new).pieces(100)))


def write(
    storage: LocalStorage,
    plan: Iterable[Stretch],
    content: Iterable[bytes],
    digest: bytes | None,
    *,
    size: int = len(NEW),
    checked: Callable[[], bytes] | None = None,
) -> bytes:
    """Write ``x`` by a plan, or discard it."""
    with storage.writer(may_replace=lambda path: False) as writer:
        new = writer.create("x", size=size, metadata=PLAIN)
        try:
            found = assemble(new, after(plan, new.written), "x", content, digest=digest, checked=checked)
        except BaseException:
            new.discard()
            raise
        new.finish()
    return found


@pytest.fixture(scope="module")
def plan() -> list[Stretch]:
    """How the new version is made."""
    return how_to_make(NEW, OLD)


def test_only_what_is_missing_is_fetched(storage: LocalStorage, root: Path, plan: list[Stretch]) -> None:
    """A file with an insertion and a changed stretch becomes the source's with little fetched content."""
    assert sum(length for _, length in fetched_ranges(plan)) < 1_000_000
    digest = blake3(NEW).digest()
    assert write(storage, plan, sent(plan), digest) == digest
    assert tree(root) == {"x": NEW}


def test_a_plain_download_is_digested_on_its_way(storage: LocalStorage, root: Path) -> None:
    """A file that is fetched as a whole is digested, too, and refused if it differs."""
    plan = whole_file(len(NEW))
    with pytest.raises(FileChangedError):
        write(storage, plan, sent(plan), blake3(OLD).digest())
    assert tree(root) == {"x": OLD}
    assert write(storage, plan, sent(plan), None) == blake3(NEW).digest()
    assert tree(root) == {"x": NEW}


def test_a_plain_download_that_was_checked_is_not_digested_again(storage: LocalStorage, root: Path) -> None:
    """The digest of a checked download is used, and compared with the announced one."""
    plan = whole_file(len(NEW))
    with pytest.raises(FileChangedError):
        write(storage, plan, sent(plan), blake3(NEW).digest(), checked=lambda: blake3(OLD).digest())
    assert tree(root) == {"x": OLD}
    assert write(storage, plan, sent(plan), b"known", checked=lambda: b"known") == b"known"
    assert tree(root) == {"x": NEW}


@pytest.mark.parametrize("size", [MIB, len(NEW) - 1])
def test_a_block_that_cannot_be_written_is_an_error(storage: LocalStorage, root: Path, size: int) -> None:
    """A failed write of any block, also the last, is raised."""
    plan = whole_file(len(NEW))
    with pytest.raises(FileError, match=f"came with more than its {size} bytes"):
        write(storage, plan, sent(plan), None, size=size)
    assert tree(root) == {"x": OLD}


def test_another_digest_is_refused(storage: LocalStorage, root: Path, plan: list[Stretch]) -> None:
    """Content with another digest than announced does not get the name."""
    with pytest.raises(FileChangedError, match=r"'x' was put together.*has not the digest"):
        write(storage, plan, sent(plan, bytes(len(NEW))), blake3(NEW).digest())
    assert tree(root) == {"x": OLD}


def test_an_old_version_that_changed_since_is_noticed(storage: LocalStorage, root: Path, plan: list[Stretch]) -> None:
    """An old version that changed after it was cut never makes a wrong new one."""
    changed = bytearray(OLD)
    changed[10 * MIB] ^= 1
    (root / "x").write_bytes(changed)
    with pytest.raises(FileChangedError, match="one of the two changed meanwhile"):
        write(storage, plan, sent(plan), blake3(NEW).digest())
    assert tree(root) == {"x": changed}


def test_an_old_version_that_became_shorter_is_noticed(storage: LocalStorage, root: Path, plan: list[Stretch]) -> None:
    """An old version that became shorter is an error that names it, and stays."""
    os.truncate(root / "x", MIB)
    with pytest.raises(FileChangedError, match=r"'x' in .* became shorter"):
        write(storage, plan, sent(plan), blake3(NEW).digest())
    assert tree(root) == {"x": OLD[:MIB]}


@pytest.mark.parametrize(("content", "what"), [([], "fewer"), ([NEW], "more"), ([NEW, b""], "more")])
def test_too_little_or_too_much_content_is_refused(
    storage: LocalStorage, root: Path, plan: list[Stretch], content: list[bytes], what: str
) -> None:
    """A source that sends less or more than requested changes nothing."""
    with pytest.raises(FileError, match=f"{what} of a file than it was asked for"):
        write(storage, plan, content, None)
    assert tree(root) == {"x": OLD}


def cut(plan: list[Stretch], count: int) -> Iterator[bytes]:
    """Send pieces, then fail."""
    pieces = sent(plan)
    for _ in range(count):
        yield next(pieces)
    raise TransportError("The connection was cut. Try again.")


def begin_and_cut(storage: LocalStorage, plan: list[Stretch]) -> None:
    """Write a part of ``y``, and keep it."""

    def work(writer: TreeWriter) -> None:
        new = writer.create("y", size=len(NEW), metadata=PLAIN, resume_key="1")
        try:
            assemble(new, plan, "x", cut(plan, 5), digest=None)
        finally:
            new.keep()

    with pytest.raises(TransportError), storage.writer(may_replace=lambda path: False) as writer:
        work(writer)


@pytest.mark.parametrize("is_plain", [True, False])
def test_a_cut_download_goes_on(storage: LocalStorage, root: Path, plan: list[Stretch], is_plain: bool) -> None:
    """The part from an earlier try is digested again, and only the rest is requested."""
    plan = whole_file(len(NEW)) if is_plain else plan
    begin_and_cut(storage, plan)
    assert tree(root)["x"] == OLD
    with storage.writer(may_replace=lambda path: False) as writer:
        new = writer.create("y", size=len(NEW), metadata=PLAIN, resume_key="1")
        assert new.written >= 5 * 70_001
        left = list(after(plan, new.written))
        assert sum(length for _, length in fetched_ranges(left)) == sum(length for _, length in fetched_ranges(plan)) - 5 * 70_001
        digest = blake3(NEW).digest()
        assert assemble(new, left, "x", sent(left), digest=digest) == digest
        new.finish()
    assert tree(root) == {"x": OLD, "y": NEW}


def test_what_was_written_of_another_version_is_noticed(storage: LocalStorage, root: Path) -> None:
    """A part of another version leads to another digest."""
    plan = whole_file(len(NEW))
    begin_and_cut(storage, plan)
    with storage.writer(may_replace=lambda path: False) as writer:
        new = writer.create("y", size=len(NEW), metadata=PLAIN, resume_key="1")
        left = list(after(plan, new.written))
        with pytest.raises(FileChangedError):
            assemble(new, left, "y", sent(left, NEW[::-1]), digest=blake3(NEW[::-1]).digest())
        new.discard()
    assert tree(root) == {"x": OLD}


@given(lengths=st.lists(st.tuples(st.integers(1, 50), st.none() | st.integers(0, 500)), max_size=8), written=st.integers(0, 450))
def test_the_rest_of_a_plan_begins_where_the_file_ends(lengths: list[tuple[int, int | None]], written: int) -> None:
    """The rest of a plan covers each remaining byte once."""
    plan, offset = [], 0
    for length, local in lengths:
        plan.append(Stretch(offset, length, local))
        offset += length

    def places(stretches: Sequence[Stretch]) -> list[tuple[int, int | None]]:
        return [
            (stretch.offset + byte, None if stretch.local is None else stretch.local + byte)
            for stretch in stretches
            for byte in range(stretch.length)
        ]

    assert places(list(after(plan, written))) == places(plan)[written:]


def test_an_empty_file_needs_nothing() -> None:
    """An empty file needs no work."""
    assert whole_file(0) == []
    assert fetched_ranges([]) == ()


def test_memory_does_not_grow_with_the_file(root: Path) -> None:
    """A file of 64 MiB is cut and assembled in the memory of a few blocks."""
    block = noise(MIB)
    with (root / "x").open("wb") as file:
        for number in range(64):
            file.write(number.to_bytes(4, "big") * 1024 + block[4096:])
    storage = LocalStorage(root)
    with storage.open_version("x") as opened:
        list_chunks(opened.file, 64 * MIB)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with storage.open_version("x") as opened:
        chunks = list_chunks(opened.file, 64 * MIB)
    with storage.open_version("x") as opened:
        plan = ChunkMatching(opened.file, 64 * MIB).stretches(chunks.pieces(100))
        write(storage, plan, [], chunks.digest, size=64 * MIB)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    assert list_chunks(Content(b""), 0).lengths.tolist() == []
