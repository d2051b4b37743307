"""The cache of digests: what it knows is true."""

from __future__ import annotations

import os
import sqlite3
from array import array
from contextlib import closing, suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from airflow_provider_sync.files import cache_file, digest_cache
from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.digest_cache import CachedRoot, DigestCache
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import path_order
from tests.files.cached_entries import DIGEST, digests, file, unread


@pytest.fixture
def root(cache: DigestCache) -> CachedRoot:
    """What it knows about one directory."""
    return cache.root("/directory")


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_recorded_is_known(root: CachedRoot, whole: bool) -> None:
    """A file of the recorded version gets its digest; all other fields and entries stay as they are."""
    entries = [file("a"), TreeEntry("b", "directory"), file("b/c"), TreeEntry("d", "link", link_target="a"), file("é")]
    root.record(entries)
    assert list(root.known((unread(entry) for entry in entries), whole=whole)) == entries
    new = file("b/new", digest=None)
    assert list(root.known([new], whole=whole)) == [new]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    "other",
    [
        replace(file("a"), version=b"other"),
        replace(file("a"), size=8),
        replace(file("a"), racy=True),
        replace(file("a"), version=b""),
        TreeEntry("a", "directory"),
    ],
)
def test_another_version_is_unknown(root: CachedRoot, other: TreeEntry, whole: bool) -> None:
    """A file of another version or size, or one whose change may be invisible, has no known digest."""
    root.record([file("a")])
    assert list(root.known([unread(other)], whole=whole)) == [unread(other)]


@pytest.mark.parametrize("entry", [file("a", digest=None), replace(file("a"), racy=True), file("a", version=b"")])
def test_what_cannot_be_trusted_is_not_recorded(root: CachedRoot, entry: TreeEntry) -> None:
    """No digest is recorded for a racy file or for one whose storage gives no version."""
    root.record([entry])
    assert digests(root, file("a"), whole=True) == [None]


def test_the_last_record_counts(root: CachedRoot) -> None:
    """A file that is read again, as with `checksum: always`, has its new digest in the cache."""
    root.record([file("a")])
    root.record([file("a", digest=b"x" * 32)])
    assert digests(root, file("a")) == [b"x" * 32]


def test_directories_algorithms_and_scopes_are_apart(cache: DigestCache) -> None:
    """A digest is known only for its own directory, algorithm and scope."""
    roots = [cache.root("/a"), cache.root("/b"), cache.root("/a", algorithm="md5"), cache.root("/a", scope="*.png")]
    for number, root in enumerate(roots):
        root.record([file("x", digest=bytes([number]))])
    assert [digests(root, file("x"), whole=True) for root in roots] == [[bytes([number])] for number in range(4)]


def test_a_directory_whose_path_is_not_utf_8(cache: DigestCache) -> None:
    """Digests are also cached for a directory whose path is not UTF-8."""
    root = cache.root(os.fsdecode(b"/srv/caf\xe9"))
    root.record([file("a")])
    assert digests(root, file("a"), whole=True) == [DIGEST]


def test_it_lasts(path: Path) -> None:
    """A digest that one process records is known to the next process."""
    with DigestCache(str(path)) as cache:
        cache.root("/a").record([file("x")])
    with DigestCache(str(path)) as cache:
        assert digests(cache.root("/a"), file("x")) == [DIGEST]


def test_without_a_file() -> None:
    """A cache without a path knows nothing and stores nothing."""
    with DigestCache(None) as cache:
        root = cache.root("/a")
        root.record([file("x")])
        root.record_chunks(file("x"), ChunkList(array("I", [7]), b"x" * 16, DIGEST))
        root.record_state("key", "source", "target")
        assert digests(root, file("x"), whole=True) == [None]
        assert list(root.find(DIGEST, 7)) == []
        assert root.chunks(file("x")) is None
        assert root.state("key") is None


PATHS = st.lists(st.text("ab/é\x01", min_size=1, max_size=5), unique_by=path_order, max_size=12)


@settings(deadline=None, max_examples=40)
@given(st.data(), PATHS, PATHS)
def test_any_paths(data: st.DataObject, recorded: list[str], walked: list[str]) -> None:
    """Each walked file gets its own recorded digest, and a whole walk removes the records of other files."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_cache, "_ROWS", data.draw(st.integers(1, 5)))
        patch.setattr(digest_cache, "_WRITTEN", data.draw(st.integers(1, 5)))
        patch.setattr(digest_cache, "_LOOKED_UP", data.draw(st.integers(1, 5)))
        patch.setattr(cache_file.CacheFile, "_open", lambda self: in_memory(self))
        root = DigestCache("ignored").root("/a")
        root.record(file(path, digest=path.encode()) for path in recorded)
        entries = [file(path) for path in sorted(walked, key=path_order)]
        expected = [path.path.encode() if path.path in recorded else None for path in entries]
        assert digests(root, *entries) == expected
        assert digests(root, *entries, whole=True) == expected
        everything = [file(path) for path in sorted({*recorded, *walked}, key=path_order)]
        left = [entry.path.encode() if entry.path in set(recorded) & set(walked) else None for entry in everything]
        assert digests(root, *everything) == left


def in_memory(file: cache_file.CacheFile) -> sqlite3.Connection:
    """A database that is gone with its connection."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    file._make_tables(connection)
    return connection


def test_a_walk_that_is_given_up_forgets_nothing_after_it(root: CachedRoot) -> None:
    """An interrupted walk removes no record of the paths after its last one."""
    root.record([file("a"), file("b"), file("c")])
    walk = root.known([unread(file("b"))], whole=True)
    assert next(iter(walk)).digest == DIGEST
    walk.close()  # type: ignore[attr-defined]
    assert digests(root, file("a"), file("b"), file("c")) == [DIGEST] * 3


def test_files_are_found_by_content(root: CachedRoot, cache: DigestCache) -> None:
    """A search finds all files of one content in the directory, with their versions, and none of another directory."""
    root.record([file("a/b"), file("c"), file("d", digest=b"other"), file("e", size=8)])
    cache.root("/other").record([file("f")])
    found = list(root.find(DIGEST, 7))
    assert [(entry.path, entry.version, entry.size, entry.digest) for entry in found] == [
        ("a/b", b"version", 7, DIGEST),
        ("c", b"version", 7, DIGEST),
    ]
    assert list(root.find(b"nothing", 7)) == []
    cache.close()
    assert len(list(root.find(DIGEST, 7))) == 2
    assert len(list(cache.root("/directory").find(DIGEST, 7))) == 2


def test_of_many_equal_files_some_are_found(root: CachedRoot) -> None:
    """If very many files have one content, such as empty files, a search takes no more time."""
    root.record(file(f"{number:04}") for number in range(300))
    assert [entry.path for entry in root.find(DIGEST, 7)] == [f"{number:04}" for number in range(100)]


def test_chunks_are_remembered(root: CachedRoot) -> None:
    """The chunks of a file are known as long as the file has the same version."""
    chunks = ChunkList(array("I", [5, 2]), b"x" * 32, DIGEST)
    root.record_chunks(file("a"), chunks)
    root.record_chunks(replace(file("racy"), racy=True), chunks)
    root.record_chunks(file("none", version=b""), chunks)
    assert root.chunks(file("a")) == chunks
    for other in (file("a", version=b"other"), file("a", size=8), file("b"), replace(file("a"), racy=True), file("none")):
        assert root.chunks(other) is None
    list(root.known([], whole=True))
    assert root.chunks(file("a")) == chunks
    root.record([file("a")])
    list(root.known([], whole=True))
    assert root.chunks(file("a")) is None


def test_states_are_remembered(root: CachedRoot, cache: DigestCache) -> None:
    """The states after the last complete sync are found by key and directory."""
    root.record_state("server", "s1", "t1")
    root.record_state("server", "s2", "t2")
    root.record_state("other", "s3", "t3")
    assert root.state("server") == ("s2", "t2")
    assert root.state("other") == ("s3", "t3")
    assert root.state("unknown") is None
    assert cache.root("/else").state("server") is None


@pytest.mark.parametrize("value", ["X'00'", "'text'", "NULL", "1", "1.5", "CAST(X'ff' AS TEXT)"])
@pytest.mark.parametrize("table", ["files", "chunks", "states"])
def test_damaged_rows_are_unknown(cache: DigestCache, path: Path, table: str, value: str) -> None:
    """A row with a damaged column counts as unknown and can be recorded again."""
    root = cache.root("/directory")
    chunks = ChunkList(array("I", [5, 2]), b"x" * 32, DIGEST)
    root.record([file("a")])
    with closing(sqlite3.connect(path)) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    for column in columns:
        root.record([file("a"), file("b")])
        root.record_chunks(file("a"), chunks)
        root.record_state("key", "s", "t")
        cache.close()
        with closing(sqlite3.connect(path)) as connection, connection:
            with suppress(sqlite3.IntegrityError):  # SQLite itself refuses NULL in a key, and two rows of one key
                connection.execute(f"UPDATE {table} SET {column} = {value} WHERE root = ?", (root._root,))
            changed = connection.total_changes
        known = (
            set(digests(root, file("a"), file("b"))) | set(digests(root, file("a"), file("b"), whole=True)),
            {entry.path for entry in root.find(DIGEST, 7)},
            root.chunks(file("a")),
            root.state("key"),
        )
        if changed and table != "files":
            assert known[2 if table == "chunks" else 3] is None
        elif changed:
            assert known[:2] == ({None}, set())


def test_rows_of_another_directory_are_unknown(cache: DigestCache, path: Path) -> None:
    """A row that damage moved to another directory or algorithm is not used."""
    one, other = cache.root("/directory"), cache.root("/directory", algorithm="md5")
    one.record([file("a")])
    one.record_chunks(file("a"), ChunkList(array("I", [5, 2]), b"x" * 32, DIGEST))
    one.record_state("key", "s", "t")
    cache.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("files", "chunks", "states"):
            connection.execute(f"UPDATE {table} SET root = ?", (other._root,))
    assert digests(other, file("a")) == digests(other, file("a"), whole=True) == [None]
    assert list(other.find(DIGEST, 7)) == []
    assert (other.chunks(file("a")), other.state("key")) == (None, None)


def test_a_walk_of_rows_out_of_order_ends(root: CachedRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a damaged file whose pages form a circle, a walk ends and uses no row that is out of order."""
    root.record([file("a"), file("b")])
    page = list(root._rows())
    monkeypatch.setattr(root, "_select", lambda *arguments: page)
    assert digests(root, file("a"), file("b"), file("c"), whole=True) == [DIGEST, DIGEST, None]
    monkeypatch.setattr(root, "_select", lambda *arguments: page[::-1])
    assert digests(root, file("a"), file("b"), file("c"), whole=True) == [None, DIGEST, None]


def test_directories_that_are_not_used_are_forgotten(cache: DigestCache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records of a directory are removed after 90 days without a sync; those of a used one stay."""
    now = 1_700_000_000.0
    monkeypatch.setattr("airflow_provider_sync.files.digest_cache.time.time", lambda: now)
    for location in ("/old", "/used"):
        cache.root(location).record([file("x")])
        cache.root(location).record_state("key", "s", "t")
    now += 60 * 86_400
    list(cache.root("/used").known([unread(file("x"))], whole=True))
    now += 60 * 86_400
    cache.root("/new").record([file("x")])
    assert digests(cache.root("/old"), file("x")) == [None]
    assert cache.root("/old").state("key") is None
    assert digests(cache.root("/used"), file("x")) == [DIGEST]
    with sqlite3.connect(path) as connection:
        assert sorted(connection.execute("SELECT location FROM roots")) == [("/new",), ("/used",)]


def test_a_walk_of_a_directory(tmp_path: Path, cache: DigestCache) -> None:
    """In a real directory, only files that changed since their digests were recorded are unknown."""
    directory = tmp_path / "directory"
    directory.mkdir()
    for name in ("same", "rewritten", "touched", "gone"):
        (directory / name).write_text(name)
        os.utime(directory / name, ns=(1, 1))
    storage = LocalStorage(directory)
    root = cache.root(storage.location)
    root.record([replace(entry, digest=entry.path.encode()) for entry in storage.walk()])
    assert all(entry.digest for entry in root.known(storage.walk(), whole=True))
    before = (directory / "rewritten").stat()
    (directory / "new").write_text("rewritTEN")
    (directory / "new").rename(directory / "rewritten")
    os.utime(directory / "rewritten", ns=(1, 1))
    os.utime(directory / "touched", ns=(2, 2))
    (directory / "gone").unlink()
    assert (directory / "rewritten").stat().st_size == before.st_size
    found = list(root.known(storage.walk(), whole=True))
    assert {entry.path: entry.digest for entry in found} == {"same": b"same", "rewritten": None, "touched": None}
    assert all(path_order(a.path) < path_order(b.path) for a, b in pairwise(found))
