"""The cache of digests: what it knows is true, and whatever happens to its file is never an error."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from airflow_provider_sync.files import cache_file, digest_cache
from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.digest_cache import CachedRoot, DigestCache, open_cache
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import path_order

DIGEST = bytes(range(32))


def file(path: str, *, version: bytes = b"version", size: int = 7, digest: bytes | None = DIGEST) -> TreeEntry:
    """The entry of a file."""
    return TreeEntry(path, "file", size, 1, 0o640, version, 1, None, (1, 2), digest)


def unread(entry: TreeEntry) -> TreeEntry:
    """The entry as a walk finds it."""
    return replace(entry, digest=None)


def digests(root: CachedRoot, *entries: TreeEntry, whole: bool = False) -> list[bytes | None]:
    """What is known of these entries."""
    return [entry.digest for entry in root.known(map(unread, entries), whole=whole)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the cache is; its directory does not exist yet."""
    return tmp_path / "cache" / "digests.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[DigestCache]:
    """An empty cache."""
    with open_cache(str(path)) as opened:
        yield opened


@pytest.fixture
def root(cache: DigestCache) -> CachedRoot:
    """What it knows about one directory."""
    return cache.root("/directory")


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_recorded_is_known(root: CachedRoot, whole: bool) -> None:
    """A file that is the same version gets its digest, and all else of its entry stays; other entries pass through."""
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
    """A file of another version or size, or that may still change without a trace, has no known digest."""
    root.record([file("a")])
    assert list(root.known([unread(other)], whole=whole)) == [unread(other)]


@pytest.mark.parametrize("entry", [file("a", digest=None), replace(file("a"), racy=True), file("a", version=b"")])
def test_what_cannot_be_trusted_is_not_recorded(root: CachedRoot, entry: TreeEntry) -> None:
    """A racy file, and one whose storage tells no version, stays unknown."""
    root.record([entry])
    assert digests(root, file("a"), whole=True) == [None]


def test_the_last_record_counts(root: CachedRoot) -> None:
    """A file that was read again, as `checksum: always` does, has its new digest."""
    root.record([file("a")])
    root.record([file("a", digest=b"x" * 32)])
    assert digests(root, file("a")) == [b"x" * 32]


def test_directories_algorithms_and_scopes_are_apart(cache: DigestCache) -> None:
    """What is known about one directory, by one algorithm, in one scope, is not known in another."""
    roots = [cache.root("/a"), cache.root("/b"), cache.root("/a", algorithm="md5"), cache.root("/a", scope="*.png")]
    for number, root in enumerate(roots):
        root.record([file("x", digest=bytes([number]))])
    assert [digests(root, file("x"), whole=True) for root in roots] == [[bytes([number])] for number in range(4)]


def test_it_lasts(path: Path) -> None:
    """What one process recorded, the next knows."""
    with open_cache(str(path)) as cache:
        cache.root("/a").record([file("x")])
    with open_cache(str(path)) as cache:
        assert digests(cache.root("/a"), file("x")) == [DIGEST]


def test_without_a_file() -> None:
    """A cache without a path knows nothing, and keeps nothing."""
    with open_cache(None) as cache:
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
    """Whatever was recorded and is walked, each file gets its own digest, and a whole walk forgets the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_cache, "_ROWS", data.draw(st.integers(1, 5)))
        patch.setattr(digest_cache, "_WRITTEN", data.draw(st.integers(1, 5)))
        patch.setattr(digest_cache, "_LOOKED_UP", data.draw(st.integers(1, 5)))
        patch.setattr(cache_file.CacheFile, "_open", lambda self: in_memory(self))
        root = open_cache("ignored").root("/a")
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
    """Only a walk that came to its end tells which files are gone."""
    root.record([file("a"), file("b"), file("c")])
    walk = root.known([unread(file("b"))], whole=True)
    assert next(iter(walk)).digest == DIGEST
    walk.close()  # type: ignore[attr-defined]
    assert digests(root, file("a"), file("b"), file("c")) == [DIGEST] * 3


def test_files_are_found_by_content(root: CachedRoot, cache: DigestCache) -> None:
    """All files of the directory with one content are found, with their version; those of another directory are not."""
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
    """Where very many files have one content, as empty ones do, a search does not grow with their number."""
    root.record(file(f"{number:04}") for number in range(300))
    assert [entry.path for entry in root.find(DIGEST, 7)] == [f"{number:04}" for number in range(100)]


def test_chunks_are_remembered(root: CachedRoot) -> None:
    """The chunks of a file are known as long as it is the same version."""
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
    """The states after the last complete sync are known by their key, for their directory."""
    root.record_state("server", "s1", "t1")
    root.record_state("server", "s2", "t2")
    root.record_state("other", "s3", "t3")
    assert root.state("server") == ("s2", "t2")
    assert root.state("other") == ("s3", "t3")
    assert root.state("unknown") is None
    assert cache.root("/else").state("server") is None


def test_directories_that_are_not_used_are_forgotten(cache: DigestCache, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 90 days without a sync, nothing is left of a directory; one in use stays."""
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


def test_only_its_user_may_read_it(cache: DigestCache, path: Path) -> None:
    """The file and its directory are private: names of files may be secrets."""
    cache.root("/a").record([file("x")])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [item.name for item in path.parent.iterdir()] == [path.name]


def damage(path: Path, position: int, data: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as opened:
        opened.seek(position)
        opened.write(data)


@pytest.mark.parametrize(
    "fault",
    [
        lambda path: damage(path, 100, b"\xff" * 8000),
        lambda path: damage(path, 4096, b"\xff" * 40_000),
        lambda path: damage(path, 16, b"\0\0"),
        lambda path: os.truncate(path, 5000),
        lambda path: sqlite3.connect(path, isolation_level=None).execute("DROP TABLE files").connection.close(),
        lambda path: sqlite3.connect(path, isolation_level=None).execute("PRAGMA user_version = 99").connection.close(),
    ],
)
def test_a_damaged_file_is_made_anew(path: Path, fault: Callable[[Path], None], caplog: pytest.LogCaptureFixture) -> None:
    """A file that is damaged, cut off or of another version costs one line in the log, and the next records are kept."""
    with open_cache(str(path)) as cache:
        cache.root("/a").record(file(f"{number:05}") for number in range(500))
    fault(path)
    with open_cache(str(path)) as cache:
        root = cache.root("/a")
        assert digests(root, *(file(f"{number:05}") for number in range(500)), whole=True).count(DIGEST) < 500
        root.record([file("x")])
        assert digests(root, file("x")) == [DIGEST]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "made anew" in caplog.text


def test_an_emptied_file_is_made_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A file of no bytes, as a full disk leaves it, is as good as none."""
    path.parent.mkdir()
    path.touch()
    with open_cache(str(path)) as cache:
        cache.root("/a").record([file("x")])
        assert digests(cache.root("/a"), file("x")) == [DIGEST]
    assert caplog.text == ""


def test_a_wrong_row_is_not_believed(path: Path) -> None:
    """A row, chunks or a state that changed on the disk without a trace for SQLite is unknown."""
    with open_cache(str(path)) as cache:
        root = cache.root("/a")
        root.record([file("digest"), file("size"), file("version"), file("path"), file("good")])
        root.record_chunks(file("chunks"), ChunkList(array("I", [7]), b"x" * 16, DIGEST))
        root.record_state("key", "s", "t")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE files SET digest = ? WHERE path = ?", (bytes(32), b"digest"))
        connection.execute("UPDATE files SET size = 8 WHERE path = ?", (b"size",))
        connection.execute("UPDATE files SET version = ? WHERE path = ?", (b"VERSION", b"version"))
        connection.execute("UPDATE files SET path = ? WHERE path = ?", (b"other", b"path"))
        connection.execute("UPDATE chunks SET chunks = ?", (bytes(52),))
        connection.execute("UPDATE states SET target = ?", ("T",))
    with open_cache(str(path)) as cache:
        root = cache.root("/a")
        changed = [file("digest"), file("good"), file("other"), file("size", size=8), file("version", version=b"VERSION")]
        assert digests(root, *changed) == [None, DIGEST, None, None, None]
        assert digests(root, *changed, whole=True) == [None, DIGEST, None, None, None]
        assert [entry.path for entry in root.find(DIGEST, 7)] == ["good"]
        assert root.chunks(file("chunks")) is None
        assert root.state("key") is None


def make_database(path: Path) -> None:
    """A database of somebody else."""
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE precious (content)")
    connection.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"precious" * 100), "is not a digest cache"),
        (lambda path: path.write_bytes(b"precious"), "is not a digest cache"),
        (make_database, "is not a digest cache"),
        (lambda path: path.mkdir(), "Is a directory"),
        (os.mkfifo, "is not a regular file"),
    ],
)
def test_what_is_no_cache_is_left_alone(
    path: Path, make: Callable[[Path], object], message: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Another file in the place of the cache is not touched; the log says once why there is none."""
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else path.stat().st_mode
    with open_cache(str(path)) as cache:
        root = cache.root("/a")
        root.record([file("x")])
        assert digests(root, file("x"), whole=True) == [None]
        assert list(root.find(DIGEST, 7)) == []
    assert (path.read_bytes() if path.is_file() else path.stat().st_mode) == before
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert message in caplog.text


def test_a_file_of_another_user_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Who may write a cache decides what is taken for unchanged, so that it has to be one's own."""
    with open_cache(str(path)) as cache:
        cache.root("/a").record([file("x")])
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with open_cache(str(path)) as cache:
        assert digests(cache.root("/a"), file("x")) == [None]
    assert "belongs to another user" in caplog.text


def test_an_unwritable_place_is_no_news(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Where no file can be made, there is no cache, and only the debug log says so."""
    code = """
        import logging
        logging.basicConfig(level=int(sys.argv[2]), format="%(levelname)s %(message)s", stream=sys.stdout)
        from airflow_provider_sync.files.digest_cache import open_cache
        from airflow_provider_sync.files.tree import TreeEntry
        root = open_cache(sys.argv[1]).root("/a")
        for _ in range(2):
            root.record([TreeEntry("x", "file", version=b"v", digest=b"d")])
        print(list(root.known([TreeEntry("x", "file", version=b"v")]))[0].digest)
    """
    closed = public_root / "closed"
    closed.mkdir()
    closed.chmod(0o555)
    for name in ("file", "deeper/file"):
        assert run_as_user(code, str(closed / name), str(logging.INFO)).stdout == "None\n"
        told = run_as_user(code, str(closed / name), str(logging.DEBUG)).stdout.splitlines()
        assert len(told) == 2
        assert told[0].startswith("DEBUG The digest cache")


def test_a_locked_file_is_not_waited_for(
    path: Path, root: CachedRoot, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While another process holds the file, digests are unknown; after a while it is tried again, and nothing is lost."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(cache_file, "_BUSY_SECONDS", 0.0)
    root.record([file("a")])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    root._file.close()  # type: ignore[union-attr]
    assert digests(root, file("a"), whole=True) == [None]
    root.record([file("b")])
    other.execute("COMMIT")
    other.close()
    assert len(caplog.records) == 1
    assert "locked" in caplog.text
    assert digests(root, file("a")) == [None]
    monkeypatch.setattr(cache_file.time, "monotonic", lambda: float("inf"))
    assert digests(root, file("a"), file("b")) == [DIGEST, None]


def test_a_record_that_cannot_be_committed(path: Path, root: CachedRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process reads for long, a record is given up as a whole, and a later one succeeds."""
    monkeypatch.setattr(cache_file, "_BUSY_SECONDS", 0.0)
    root.record([file("a")])
    root._file.close()  # type: ignore[union-attr]
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM files").fetchone()
    root.record([file("b")])
    reader.close()
    monkeypatch.setattr(cache_file.time, "monotonic", lambda: float("inf"))
    root.record([file("c")])
    assert digests(root, file("a"), file("b"), file("c")) == [DIGEST, None, DIGEST]


def test_a_full_disk_is_no_error(path: Path, root: CachedRoot, caplog: pytest.LogCaptureFixture) -> None:
    """Where the file cannot grow, what was recorded before stays, and the log says so once."""
    root.record([file("a")])

    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    root._file.run(limit, None)  # type: ignore[union-attr]
    root.record(file(f"{number:05}") for number in range(5000))
    root.record([file("b")])
    assert digests(root, file("a")) == [None]
    assert len(caplog.records) == 1
    with open_cache(str(path)) as cache:
        assert digests(cache.root("/directory"), file("00001"), file("a")) == [None, DIGEST]


def test_several_processes_at_once(path: Path, cache: DigestCache) -> None:
    """Processes and threads that record and look at the same time know all that each recorded."""
    code = """
import sys
from airflow_provider_sync.files.digest_cache import open_cache
from airflow_provider_sync.files.tree import TreeEntry
root = open_cache(sys.argv[1]).root("/a")
for number in range(20):
    root.record([TreeEntry(f"{sys.argv[2]}-{number:03}-{i:03}", "file", version=b"v", digest=b"d") for i in range(100)])
    list(root.known(TreeEntry(f"0-000-{i:03}", "file", version=b"v") for i in range(100)))
"""
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), str(number)]) for number in range(2)]
    root = cache.root("/a")

    def record(name: str) -> None:
        for number in range(20):
            root.record([file(f"{name}-{number:03}")])
            list(root.known([file(f"{name}-000", digest=None)]))

    threads = [threading.Thread(target=record, args=(name,)) for name in "xy"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(60) for process in processes] == [0, 0]
    rows = list(root.known(file(f"{name}-{number:03}", digest=None) for name in "xy" for number in range(20)))
    assert [row.digest for row in rows] == [DIGEST] * 40


def test_a_killed_process_leaves_the_file_whole(path: Path) -> None:
    """A process that is killed while it records loses its last rows at most, and the file is whole."""
    code = """
import os, signal, sys
from airflow_provider_sync.files.digest_cache import open_cache
from airflow_provider_sync.files.tree import TreeEntry
root = open_cache(sys.argv[1]).root("/a")
def entries():
    for number in range(100_000):
        if number == 60_000:
            os.kill(os.getpid(), signal.SIGKILL)
        yield TreeEntry(f"{number:06}", "file", version=b"v", digest=b"d")
root.record(entries())
"""
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == -9
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count = connection.execute("SELECT count(*) FROM files").fetchone()[0]
    assert 50_000 < count <= 60_000


def test_a_walk_of_a_directory(tmp_path: Path, cache: DigestCache) -> None:
    """Of a real directory, what changed since its digests were recorded is unknown, and the rest is known."""
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
