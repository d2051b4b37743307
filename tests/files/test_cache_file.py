"""The file of the cache of digests: whatever happens to it is never an error."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.files import cache_file
from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.digest_cache import CachedRoot, DigestCache
from tests.files.cached_entries import DIGEST, digests, file


@pytest.fixture
def root(cache: DigestCache) -> CachedRoot:
    """What it knows about one directory."""
    return cache.root("/directory")


def test_only_its_user_may_read_it(cache: DigestCache, path: Path) -> None:
    """The file and its directory are private, because file names may be secret."""
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
        lambda path: path.write_bytes(path.read_bytes().replace(b"TABLE files", b"T\xfd\xfdLE f\xfdles")),
        lambda path: path.write_bytes(path.read_bytes().replace(b"files", b"f\xfdl\xfes")),
    ],
)
def test_a_damaged_file_is_made_anew(path: Path, fault: Callable[[Path], None], caplog: pytest.LogCaptureFixture) -> None:
    """A damaged, truncated or old file is replaced with one line in the log."""
    with DigestCache(str(path)) as cache:
        cache.root("/a").record(file(f"{number:05}") for number in range(500))
    fault(path)
    with DigestCache(str(path)) as cache:
        root = cache.root("/a")
        assert digests(root, *(file(f"{number:05}") for number in range(500)), whole=True).count(DIGEST) < 500
        root.record([file("x")])
        assert digests(root, file("x")) == [DIGEST]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "made anew" in caplog.text


def test_an_emptied_file_is_made_anew(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An empty file, for example from a full disk, is replaced."""
    path.parent.mkdir()
    path.touch()
    with DigestCache(str(path)) as cache:
        cache.root("/a").record([file("x")])
        assert digests(cache.root("/a"), file("x")) == [DIGEST]
    assert caplog.text == ""


def test_a_wrong_row_is_not_believed(path: Path) -> None:
    """A row, chunks or a state that changed on the disk unnoticed by SQLite is ignored."""
    with DigestCache(str(path)) as cache:
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
    with DigestCache(str(path)) as cache:
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
    """Another file in place of the cache is not changed; the log says once why there is no cache."""
    path.parent.mkdir()
    make(path)
    before = path.read_bytes() if path.is_file() else path.stat().st_mode
    with DigestCache(str(path)) as cache:
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
    """Another user's file is not used, because it decides which files count as unchanged."""
    with DigestCache(str(path)) as cache:
        cache.root("/a").record([file("x")])
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    with DigestCache(str(path)) as cache:
        assert digests(cache.root("/a"), file("x")) == [None]
    assert "belongs to another user" in caplog.text


def test_an_unwritable_place_is_no_news(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """If no file can be created, there is no cache, and only the debug log says so."""
    code = """
        import logging
        logging.basicConfig(level=int(sys.argv[2]), format="%(levelname)s %(message)s", stream=sys.stdout)
        from airflow_provider_sync.files.digest_cache import DigestCache
        from airflow_provider_sync.files.tree import TreeEntry
        root = DigestCache(sys.argv[1]).root("/a")
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
    """While another process locks the file, digests are unknown; later they are used again, and none is lost."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(cache_file, "_BUSY_SECONDS", 0.0)
    monkeypatch.setattr(cache_file, "_PAUSE_SECONDS", 600.0)
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
    """While another process reads for long, a record is discarded as a whole, and a later one succeeds."""
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
    """If the file cannot grow, earlier records stay, and the log says so once."""
    root.record([file("a")])

    def limit(connection: sqlite3.Connection) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages}")

    root._file.run(limit, None)  # type: ignore[union-attr]
    root.record(file(f"{number:05}") for number in range(5000))
    root.record([file("b")])
    assert digests(root, file("a")) == [None]
    assert len(caplog.records) == 1
    with DigestCache(str(path)) as cache:
        assert digests(cache.root("/directory"), file("00001"), file("a")) == [None, DIGEST]


def test_several_processes_at_once(path: Path, cache: DigestCache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes and threads that record at the same time find all records."""
    # A busy disk may keep the file locked for longer than records are worth.
    monkeypatch.setattr(cache_file, "_BUSY_SECONDS", 60.0)
    code = """
import sys
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.tree import TreeEntry
root = DigestCache(sys.argv[1]).root("/a")
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
    """A process that is killed while it records loses at most its last rows."""
    code = """
import os, signal, sys
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.tree import TreeEntry
root = DigestCache(sys.argv[1]).root("/a")
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
