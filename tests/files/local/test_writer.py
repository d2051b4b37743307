"""Writing many files to a local disk: whole or not at all, inside the root or not at all, and nothing left behind."""

from __future__ import annotations

import errno
import fcntl
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.open_directories import MAX_OPEN
from airflow_provider_sync.files.local.pending_files import MAX_HELD
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import Metadata, NewFile
from tests.files.conftest import PROJECT, tree

LONG_AGO = 1_000_000_000_123_456_789
OLD = Metadata(LONG_AGO)
PLAIN = Metadata()


@pytest.fixture
def storage(root: Path) -> LocalStorage:
    """The storage of ``root``."""
    return LocalStorage(root)


@pytest.fixture
def writer(storage: LocalStorage) -> Iterator[LocalTreeWriter]:
    """A writer of ``root`` for which nothing in the way may go."""
    with storage.writer(may_replace=lambda path: False) as writer:
        yield writer


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the root that must stay as it is."""
    directory = tmp_path / "outside"
    directory.mkdir()
    (directory / "x").write_bytes(b"precious")
    return directory


def break_off(storage: LocalStorage, work: Callable[[LocalTreeWriter], object], may_replace: bool = False) -> None:
    """Do ``work`` with a writer, then end its block by an exception, which is caught."""
    with suppress(ZeroDivisionError), storage.writer(may_replace=lambda path: may_replace) as writer:
        work(writer)
        raise ZeroDivisionError


def open_descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize("durable", [True, False])
def test_files_get_their_names_by_a_commit(storage: LocalStorage, root: Path, durable: bool) -> None:
    """What was put appears by the commit, with its times, and is returned as the next walk will find it."""
    before = open_descriptors()
    with storage.writer(durable=durable, may_replace=lambda path: False) as writer:
        names = [f"d{number % 7}/deep/f{number:03}" for number in range(2 * MAX_HELD)]
        for name in names:
            writer.put(name, name.encode(), OLD)
        assert list(storage.walk()) == [entry for entry in storage.walk() if entry.kind == "directory"]
        entries = writer.commit()
        assert sorted(entries, key=lambda entry: entry.path) == [entry for entry in storage.walk() if entry.kind == "file"]
        assert {entry.mtime_ns for entry in entries} == {LONG_AGO}
        assert writer.commit() == []
        writer.put("last", b"", PLAIN)
    assert open_descriptors() == before
    assert {path: content for path, content in tree(root).items() if content is not None} == {
        **{name: name.encode() for name in names},
        "last": b"",
    }


def test_the_root_is_made(tmp_path: Path) -> None:
    """A target that does not exist yet is made, with the directories above it."""
    with LocalStorage(tmp_path / "a" / "b").writer(may_replace=lambda path: False) as writer:
        writer.put("x", b"x", PLAIN)
    assert tree(tmp_path) == {"a": None, "a/b": None, "a/b/x": b"x"}


def test_a_root_that_cannot_be_made(tmp_path: Path) -> None:
    """A file in the place of the root is named."""
    (tmp_path / "file").write_bytes(b"x")
    with (
        pytest.raises(FileError, match=r"file: File exists. It is a file; name a directory"),
        LocalStorage(tmp_path / "file").writer(may_replace=lambda path: False),
    ):
        pass


def test_an_exception_discards_what_is_not_committed(storage: LocalStorage, root: Path) -> None:
    """What was committed stays; of the rest neither files nor the directories made for them remain."""
    (root / "there").mkdir()
    before = open_descriptors()

    def work(writer: LocalTreeWriter) -> None:
        writer.put("a/b/done", b"done", PLAIN)
        writer.commit()
        writer.put("a/c/d/x", b"x", PLAIN)
        writer.put("there/x", b"x", PLAIN)
        writer.make_directory("e/f", PLAIN)
        writer.make_link("g/link", "../a")
        new_file = writer.create("h/large", size=10, metadata=PLAIN)
        new_file.write(b"x")

    break_off(storage, work)
    assert tree(root) == {"a": None, "a/b": None, "a/b/done": b"done", "there": None}
    assert open_descriptors() == before


def test_permissions(storage: LocalStorage, root: Path) -> None:
    """A new file gets what the umask leaves, one that is replaced keeps its own, and permissions that are asked for win."""
    for name in ("kept", "set", "large"):
        (root / name).write_bytes(b"old")
        (root / name).chmod(0o4751)
    umask = os.umask(0o027)
    try:
        with storage.writer(may_replace=lambda path: False) as writer:
            writer.put("new", b"new", PLAIN)
            writer.put("kept", b"new", PLAIN)
            writer.put("set", b"new", Metadata(mode=0o4640))
            new_file = writer.create("large", size=1, metadata=PLAIN)
            modes = {stat.S_IMODE(path.stat().st_mode) for path in root.glob(".airflow-sync-*")}
            assert modes == {0o640, 0o751, 0o600}
            new_file.write(b"x")
            new_file.finish()
    finally:
        os.umask(umask)
    assert {path.name: oct(stat.S_IMODE(path.stat().st_mode)) for path in root.iterdir()} == {
        "new": "0o640",
        "kept": "0o751",
        "set": "0o640",
        "large": "0o751",
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
def test_a_replaced_file_keeps_its_owner(writer: LocalTreeWriter, root: Path) -> None:
    """A sync that runs as root does not take files away from whom they belong to, not even if it sets permissions."""
    (root / "file").write_bytes(b"old")
    os.chown(root / "file", 1234, 2345)
    writer.put("file", b"new", Metadata(mode=0o600))
    writer.commit()
    status = (root / "file").stat()
    assert (status.st_uid, status.st_gid, (root / "file").read_bytes()) == (1234, 2345, b"new")


def test_links_in_the_way_are_replaced(writer: LocalTreeWriter, root: Path, outside: Path) -> None:
    """A link in the place of a file or of a directory gives way by the commit, and what is behind it stays as it is."""
    (root / "file").symlink_to(outside / "x")
    (root / "dir").symlink_to(outside)
    (root / "dangling").symlink_to(outside / "new")
    for name in ("file", "dir/x", "dangling"):
        writer.put(name, b"new", PLAIN)
    assert (root / "dir").is_symlink()
    writer.commit()
    assert tree(root) == {"file": b"new", "dir": None, "dir/x": b"new", "dangling": b"new"}
    assert tree(outside) == {"x": b"precious"}


def test_nothing_goes_through_links(writer: LocalTreeWriter, root: Path, outside: Path) -> None:
    """Removing, copying and setting times below a link to a directory does not reach what is behind it."""
    (root / "dir").symlink_to(outside)
    (root / "file").symlink_to(outside / "x")
    writer.remove("dir/x")
    assert writer.remove_directory("dir/x")
    for call in (
        lambda: writer.set_metadata("dir/x", OLD),
        lambda: writer.copy("copy", "dir/x", PLAIN),
        lambda: writer.copy("copy", "file", PLAIN),
        lambda: writer.copy("copy", "file", PLAIN, move=True),
        lambda: writer.set_metadata("file", OLD),
    ):
        with pytest.raises(FileError):
            call()
    assert tree(outside) == {"x": b"precious"}
    assert (outside / "x").stat().st_mtime_ns != LONG_AGO
    writer.remove("dir")
    assert tree(root) == {"file": b"-> " + os.fsencode(outside / "x")}


def test_a_swapped_directory_never_leads_a_write_out(storage: LocalStorage, root: Path, outside: Path) -> None:
    """While somebody keeps swapping a directory for a link, nothing reaches what is behind it."""
    (root / "sub").mkdir()
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            for step in (
                lambda: (root / "sub").rename(root / "away"),
                lambda: (root / "sub").symlink_to(outside),
                lambda: (root / "sub").unlink(),
                lambda: (root / "away").rename(root / "sub"),
                lambda: (root / "sub").mkdir(),
            ):
                # The writer makes, replaces and removes the same names.
                with suppress(OSError):
                    step()
            shutil.rmtree(root / "away", ignore_errors=True)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for number in range(100):
            with (
                suppress(FileError),
                storage.writer(durable=False, may_replace=lambda path: True, on_failure=lambda *_: None) as writer,
            ):
                writer.put(f"sub/x{number % 2 or ''}", b"new", PLAIN)
                writer.commit()
                writer.set_metadata("sub/x", OLD)
                writer.remove("sub/x")
    finally:
        stop.set()
        swapper.join()
    assert tree(outside) == {"x": b"precious"}
    assert (outside / "x").stat().st_mtime_ns != LONG_AGO


@pytest.mark.parametrize("name", ["", "/x", "../x", "a/../x", "a//x", "x\0", "x" * 256, ".airflow-sync-0123456789abcdef.resume"])
def test_names_are_checked(writer: LocalTreeWriter, root: Path, name: str) -> None:
    """No method takes a path that could lead out of the root, or a temporary name."""
    (root / "there").write_bytes(b"x")
    for call in (
        lambda: writer.put(name, b"x", PLAIN),
        lambda: writer.create(name, size=1, metadata=PLAIN),
        lambda: writer.copy(name, "there", PLAIN),
        lambda: writer.copy("copy", name, PLAIN),
        lambda: writer.copy(name, "there", PLAIN, move=True),
        lambda: writer.make_directory(name, PLAIN),
        lambda: writer.make_link(name, "there"),
        lambda: writer.set_metadata(name, OLD),
        lambda: writer.remove(name),
        lambda: writer.remove_directory(name),
    ):
        with pytest.raises(FileError, match="The file name"):
            call()
    assert writer.commit() == []
    assert tree(root) == {"there": b"x"}


class FailingCall:
    """A function of ``os`` that fails for some files, as a full or broken disk makes it fail."""

    def __init__(self, name: str, number: int, fails: Callable[[str], bool], monkeypatch: pytest.MonkeyPatch) -> None:
        self._original = getattr(os, name)
        self._number = number
        self._fails = fails
        monkeypatch.setattr(os, name, self)

    def __call__(self, first: object, *arguments: object, **options: object) -> object:
        """Fail, or call the function."""
        name = (
            str(Path(f"/proc/self/fd/{first}").readlink())
            if isinstance(first, int)
            else str(arguments[0] if arguments else first)
        )
        if self._fails(name):
            raise OSError(self._number, os.strerror(self._number))
        return self._original(first, *arguments, **options)


def test_a_full_disk(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full names the file for which there was no room, and is no matter of one file."""
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put("a", b"a", PLAIN)
        with monkeypatch.context() as patch:
            FailingCall("write", errno.ENOSPC, lambda name: True, patch)
            with pytest.raises(FileError, match=r"Cannot write 'sub/b' in .*: No space left on device. Free some") as caught:
                writer.put("sub/b", b"b", PLAIN)
            assert not is_about_one_file(caught.value.__cause__)
            new_file = writer.create("c", size=1, metadata=PLAIN)
            with pytest.raises(FileError, match="Cannot write 'c'"):
                new_file.write(b"c")
            new_file.discard()
        assert len(list(root.rglob(".airflow-sync-*"))) == 1
    assert tree(root) == {"a": b"a", "sub": None}


@pytest.mark.parametrize("files", [1, 5, 2 * MAX_HELD])
def test_a_disk_that_does_not_take_a_file(storage: LocalStorage, root: Path, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the content of one file does not reach the disk, it is named, and no file of the commit gets its name."""
    (root / "f0").write_bytes(b"old")
    with storage.writer(may_replace=lambda path: False) as writer:
        for number in range(files):
            writer.put(f"f{number}", b"new", Metadata(LONG_AGO + number))
        bad = next(path for path in root.glob(".airflow-sync-*") if path.stat().st_mtime_ns == LONG_AGO)
        with monkeypatch.context() as patch:
            FailingCall("fsync", errno.EIO, lambda name: name.endswith(bad.name), patch)
            if files > MAX_HELD:
                patch.setattr("airflow_provider_sync.files.local.pending_files.sync_file_system", _broken)
            with pytest.raises(FileError, match=r"Cannot write 'f0' in .*: Input/output error. Check the disk"):
                writer.commit()
        assert tree(root) == {"f0": b"old"}
        writer.put("f0", b"new", PLAIN)
    assert tree(root) == {"f0": b"new"}


def _broken(descriptor: int) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_files_of_others_do_not_fail_a_commit(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the disk reports an error, but takes each of the files, they were not the ones that failed."""
    monkeypatch.setattr("airflow_provider_sync.files.local.pending_files.sync_file_system", _broken)
    with caplog.at_level("INFO"), storage.writer(may_replace=lambda path: False) as writer:
        for number in range(2 * MAX_HELD):
            writer.put(f"f{number}", b"new", PLAIN)
        assert len(writer.commit()) == 2 * MAX_HELD
    assert "syncing 128 files" in caplog.text


def test_failures_of_single_files_are_reported(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot get its name is reported, and the others get theirs."""
    failures: dict[str, str] = {}

    def note(path: str, error: FileError) -> None:
        failures[path] = str(error)

    with storage.writer(may_replace=lambda path: False, on_failure=note) as writer:
        for name in ("a", "b:c", "d"):
            writer.put(name, b"x", PLAIN)
        with monkeypatch.context() as patch:
            FailingCall("rename", errno.EILSEQ, lambda name: name == "b:c", patch)
            assert {entry.path for entry in writer.commit()} == {"a", "d"}
    assert failures == {
        "b:c": f"Cannot write 'b:c' in {root}: Invalid or incomplete multibyte or wide character. The file system does not take "
        "this name; rename the file at its source, or exclude it."
    }
    assert tree(root) == {"a": b"x", "d": b"x"}


def test_without_a_listener_the_first_failure_is_raised(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If nobody is told of failures, the commit raises the first one after the others have got their names."""
    FailingCall("rename", errno.EILSEQ, lambda name: name in ("a", "c"), monkeypatch)
    with storage.writer(may_replace=lambda path: False) as writer:
        for name in ("a", "b", "c"):
            writer.put(name, b"x", PLAIN)
        with pytest.raises(FileError, match="'a'"):
            writer.commit()
    assert tree(root) == {"b": b"x"}


def test_a_disk_that_breaks_during_renames(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that will meet all files ends the commit at once, and the rest is discarded."""
    told: list[str] = []
    FailingCall("rename", errno.EROFS, lambda name: name != "a", monkeypatch)
    with storage.writer(may_replace=lambda path: False, on_failure=lambda path, error: told.append(path)) as writer:
        for name in ("a", "b", "c"):
            writer.put(name, b"x", PLAIN)
        with pytest.raises(FileError, match=r"'b' in .*: Read-only file system"):
            writer.commit()
    assert told == []
    assert tree(root) == {"a": b"x"}


def test_a_signal_during_a_commit(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal between two renames leaves whole files under their names, and no temporary ones."""
    original = os.rename

    def rename(first: str, second: str, **options: int) -> None:
        original(first, second, **options)
        if second == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", rename)
    before = open_descriptors()

    def work() -> None:
        with storage.writer(may_replace=lambda path: False) as writer:
            for name in ("a", "b", "c", "d"):
                writer.put(name, b"x", PLAIN)
            writer.commit()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert tree(root) == {"a": b"x", "b": b"x"}
    assert open_descriptors() == before


def test_a_killed_writer_leaves_what_clean_removes(storage: LocalStorage, root: Path) -> None:
    """A killed process leaves temporary files, which the next sync removes, but for what it can go on with."""
    code = """if True:
        import os, signal, sys
        from airflow_provider_sync.files import open_storage
        from airflow_provider_sync.files.tree_writer import Metadata, NewFile
        with open_storage(sys.argv[1]).writer(may_replace=lambda path: False) as writer:
            writer.put("sub/file", b"new", Metadata(1))
            writer.create("sub/large", size=10, metadata=Metadata(), resume_key="1").write(b"half")
            writer.create("sub/other", size=10, metadata=Metadata()).write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    outcome = subprocess.run([sys.executable, "-c", code, root], cwd=PROJECT, check=False)
    assert outcome.returncode == -signal.SIGKILL
    assert [entry.path for entry in storage.walk()] == ["sub"]
    assert storage.clean(3600) == 0  # another process may be at work
    with storage.exclusive(0):
        assert storage.clean(0) == 2
    (left,) = (root / "sub").iterdir()
    assert left.read_bytes() == b"half"
    assert storage.clean(0, resumable_older_than=0) == 1
    assert tree(root) == {"sub": None}


def test_a_cut_download_goes_on(storage: LocalStorage, root: Path) -> None:
    """A later writer goes on with the same version of a file; what it has is read back, to be digested."""
    for end in ("keep", "exception", "kept complete"):
        with suppress(ZeroDivisionError), storage.writer(may_replace=lambda path: False) as writer:
            new_file = writer.create("sub/large", size=6, metadata=OLD, resume_key="1")
            assert new_file.written == 0
            new_file.write(b"one")
            if end == "keep":
                new_file.keep()
            else:
                if end == "kept complete":
                    new_file.write(b"two")
                    new_file.finish()
                raise ZeroDivisionError
        assert [entry.path for entry in storage.walk()] == ["sub"]
        with storage.writer(may_replace=lambda path: False) as writer:
            new_file = writer.create("sub/large", size=6, metadata=OLD, resume_key="1")
            assert b"".join(new_file.read_written()) == (b"onetwo" if end == "kept complete" else b"one")
            if new_file.written < 6:
                new_file.write(b"two")
            new_file.finish()
        assert tree(root) == {"sub": None, "sub/large": b"onetwo"}
        assert (root / "sub" / "large").stat().st_mtime_ns == LONG_AGO
        (root / "sub" / "large").unlink()


def test_what_cannot_be_gone_on_with_is_begun_anew(storage: LocalStorage, root: Path, outside: Path) -> None:
    """Another version, more bytes than there may be, a link, and a file with another name are not gone on with."""
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.create("large", size=6, metadata=PLAIN, resume_key="1").write(b"one")
    (left,) = root.iterdir()
    with storage.writer(may_replace=lambda path: False) as writer:
        assert writer.create("large", size=6, metadata=PLAIN, resume_key="2").written == 0
        assert writer.create("large", size=2, metadata=PLAIN, resume_key="1").written == 0
    for obstacle in (lambda: left.symlink_to(outside / "x"), lambda: os.link(outside / "x", left)):
        left.unlink()
        obstacle()
        with storage.writer(may_replace=lambda path: False) as writer:
            new_file = writer.create("large", size=9, metadata=PLAIN, resume_key="1")
            assert new_file.written == 0
            new_file.write(b"x")
    assert tree(outside) == {"x": b"precious"}


def test_two_writers_do_not_go_on_with_one_file(storage: LocalStorage, root: Path) -> None:
    """While one writer goes on with a file, another one is refused."""
    with storage.writer(may_replace=lambda path: False) as writer, storage.writer(may_replace=lambda path: False) as other:
        new_file = writer.create("large", size=6, metadata=PLAIN, resume_key="1")
        with pytest.raises(FileError, match="Cannot write 'large'"):
            other.create("large", size=6, metadata=PLAIN, resume_key="1")
        new_file.write(b"onetwo")
        new_file.finish()
    assert tree(root) == {"large": b"onetwo"}


def test_sizes_are_checked(writer: LocalTreeWriter, root: Path) -> None:
    """A large file with fewer or more bytes than announced does not get its name."""
    (root / "source").write_bytes(b"0123456789")
    short = writer.create("short", size=3, metadata=PLAIN, resume_key="1")
    short.write(b"ab")
    with pytest.raises(FileError, match="'short' came with 2 bytes instead of 3"):
        short.finish()
    long = writer.create("long", size=3, metadata=PLAIN)
    with pytest.raises(FileError, match="'long' came with more than its 3 bytes"):
        long.write(b"abcd")
    with pytest.raises(FileError, match="'long' came with more than its 3 bytes"):
        long.copy_range("source", 0, 4)
    long.keep()
    cut = writer.create("cut", size=20, metadata=PLAIN)
    with pytest.raises(FileChangedError, match=r"'source' in .* became shorter"):
        cut.copy_range("source", 5, 10)
    assert b"".join(cut.read_written()) == b"56789"
    with pytest.raises(MissingFileError, match="Cannot read 'missing'"):
        cut.copy_range("missing", 0, 1)
    cut.discard()
    cut.discard()
    assert writer.commit() == []
    assert tree(root) == {"source": b"0123456789"}


def test_a_file_of_ranges(writer: LocalTreeWriter, root: Path) -> None:
    """A large file is put together from ranges of files that are there, also of the one that it replaces, and new bytes."""
    (root / "large").write_bytes(b"0123456789")
    (root / "other").write_bytes(b"abc")
    new_file = writer.create("large", size=10, metadata=OLD)
    new_file.copy_range("large", 5, 5)
    new_file.write(b"--")
    new_file.copy_range("other", 0, 2)
    new_file.copy_range("large", 0, 1)
    assert b"".join(new_file.read_written()) == b"56789--ab0"
    new_file.finish()
    (entry,) = writer.commit()
    assert (entry.path, entry.size, entry.mtime_ns) == ("large", 10, LONG_AGO)
    assert tree(root) == {"large": b"56789--ab0", "other": b"abc"}


def test_an_unfinished_file_that_somebody_cut(writer: LocalTreeWriter, root: Path) -> None:
    """Reading back fewer bytes than were written is an error instead of an endless loop."""
    new_file = writer.create("large", size=3, metadata=PLAIN)
    new_file.write(b"abc")
    os.truncate(next(root.iterdir()), 1)
    with pytest.raises(FileChangedError, match=r"The unfinished 'large' in .* was cut"):
        list(new_file.read_written())


@pytest.mark.parametrize("move", [False, True])
def test_copies(writer: LocalTreeWriter, root: Path, move: bool) -> None:
    """A copy has the content of another file and its own times; a file that moved is not copied, and may be removed at once."""
    (root / "from").write_bytes(b"content" * 1000)
    (root / "from").chmod(0o640)
    (root / "old").write_bytes(b"old")
    (root / "old").chmod(0o600)
    inode = (root / "from").stat().st_ino
    writer.copy("sub/new", "from", OLD, move=move)
    writer.copy("old", "from", Metadata(LONG_AGO + 1), move=move)
    assert len(writer.commit()) == 2
    assert (root / "old").read_bytes() == (root / "sub" / "new").read_bytes() == b"content" * 1000
    assert ((root / "old").stat().st_ino == inode) is move
    assert stat.S_IMODE((root / "old").stat().st_mode) == 0o600
    writer.remove("from")
    # Two names of one file are nothing to rename.
    writer.copy("old", "sub/new", PLAIN, move=move)
    writer.commit()
    assert set(tree(root)) == {"old", "sub", "sub/new"}


def test_the_version_of_a_moved_file(writer: LocalTreeWriter, storage: LocalStorage, root: Path) -> None:
    """When the old name of a file that moved is gone, setting its metadata tells which version it is now."""
    (root / "from").write_bytes(b"content")
    writer.copy("new", "from", OLD, move=True)
    (committed,) = writer.commit()
    writer.remove("from")
    entry = writer.set_metadata("new", OLD)
    assert [entry] == list(storage.walk())
    assert entry is not None
    assert entry.version != committed.version


@pytest.mark.parametrize("move", [False, True])
def test_a_copy_of_another_version_is_refused(writer: LocalTreeWriter, storage: LocalStorage, root: Path, move: bool) -> None:
    """A file that changed since it was compared is not taken for what it was."""
    (root / "from").write_bytes(b"content")
    (entry,) = storage.walk()
    (root / "from").write_bytes(b"changed")
    with pytest.raises(FileChangedError, match=r"'from' in .* changed since it was compared. Compare again"):
        writer.copy("new", "from", PLAIN, move=move, version=entry.version)
    (entry,) = storage.walk()
    writer.copy("new", "from", PLAIN, move=move, version=entry.version)
    writer.commit()
    assert tree(root) == {"from": b"changed", "new": b"changed"}


def test_a_file_that_changes_while_it_is_copied(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a mixture of two versions nor another file gets the name."""
    (root / "from").write_bytes(b"content")
    original_copy, original_link = os.copy_file_range, os.link

    def copy_file_range(source: int, target: int, count: int, offset: int) -> int:
        (root / "from").write_bytes(b"changed")
        return original_copy(source, target, count, offset)

    def link(first: str, second: str, **options: int | bool) -> None:
        (root / "from").unlink()
        (root / "from").write_bytes(b"another")
        original_link(first, second, **options)

    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    with pytest.raises(FileChangedError):
        writer.copy("new", "from", PLAIN)
    monkeypatch.setattr(os, "link", link)
    with pytest.raises(FileChangedError):
        writer.copy("new", "from", PLAIN, move=True)
    assert writer.commit() == []
    assert tree(root) == {"from": b"another"}


@pytest.mark.parametrize("code", [errno.EXDEV, errno.EPERM])
def test_copies_without_help_of_the_file_system(
    writer: LocalTreeWriter, root: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there are no hard links and no copies inside the kernel, files are read and written."""
    (root / "from").write_bytes(b"content")
    for name in ("link", "copy_file_range"):
        FailingCall(name, code, lambda name: True, monkeypatch)
    writer.copy("new", "from", OLD, move=True)
    writer.commit()
    assert tree(root) == {"from": b"content", "new": b"content"}


@pytest.mark.parametrize("call", ["link", "copy_file_range"])
def test_a_copy_that_fails(writer: LocalTreeWriter, root: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy for which there is no room is named and leaves nothing."""
    (root / "from").write_bytes(b"content")
    FailingCall(call, errno.ENOSPC, lambda name: True, monkeypatch)
    with pytest.raises(FileError, match=r"Cannot write 'new' in .*: No space left"):
        writer.copy("new", "from", OLD, move=call == "link")
    assert tree(root) == {"from": b"content"}


def test_directories_get_their_metadata_last(storage: LocalStorage, root: Path) -> None:
    """Times and permissions of directories are what was asked for, whatever was written into them afterwards."""
    (root / "there").mkdir(mode=0o2755)
    (root / "there").chmod(0o2755)
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.make_directory("a", Metadata(LONG_AGO, 0o500))
        writer.make_directory("a/b", Metadata(LONG_AGO + 1))
        writer.make_directory("gone", OLD)
        writer.set_metadata("there", Metadata(LONG_AGO + 2, 0o700))
        assert stat.S_IMODE((root / "a").stat().st_mode) == 0o700
        writer.put("a/b/x", b"x", PLAIN)
        writer.put("there/x", b"x", PLAIN)
        assert writer.remove_directory("gone")
    assert {
        path.name: (path.stat().st_mtime_ns - LONG_AGO, oct(stat.S_IMODE(path.stat().st_mode)))
        for path in (root / "a", root / "there")
    } == {"a": (0, "0o500"), "there": (2, "0o2700")}
    assert (root / "a" / "b").stat().st_mtime_ns == LONG_AGO + 1
    (root / "a").chmod(0o700)


def test_metadata_that_a_directory_cannot_have(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory whose metadata cannot be set is named."""

    def work() -> None:
        with storage.writer(may_replace=lambda path: False) as writer:
            writer.make_directory("a", OLD)
            FailingCall("utime", errno.EPERM, lambda name: name.endswith("/a"), monkeypatch)

    with pytest.raises(FileError, match=r"Cannot write 'a' in .*: Operation not permitted"):
        work()
    assert tree(root) == {"a": None}


def test_metadata_of_files(writer: LocalTreeWriter, storage: LocalStorage, root: Path) -> None:
    """Times and permissions of a file are set without touching its content, and its new entry is returned."""
    (root / "file").write_bytes(b"x")
    (root / "file").chmod(0o000)
    entry = writer.set_metadata("file", Metadata(LONG_AGO, 0o4640))
    assert [entry] == list(storage.walk())
    assert entry is not None
    assert (entry.mtime_ns, entry.mode) == (LONG_AGO, 0o640)
    with pytest.raises(MissingFileError, match="Cannot write 'missing'"):
        writer.set_metadata("missing", OLD)
    os.mkfifo(root / "pipe")
    with pytest.raises(FileError, match=r"Cannot write 'pipe' in .* not a regular file"):
        writer.set_metadata("pipe", OLD)


def test_metadata_of_unreadable_files(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The owner of a file need not be able to read it to set its times and permissions."""
    code = """
        from airflow_provider_sync.files.tree_writer import Metadata, NewFile
        root = sys.argv[1]
        open(f"{root}/file", "w").close()
        os.chmod(f"{root}/file", 0)
        with airflow_provider_sync.files.open_storage(root).writer(may_replace=lambda path: False) as writer:
            print(writer.set_metadata("file", Metadata(1_000_000_000, 0o640)))
    """
    outcome = run_as_user(code, str(public_root))
    assert "mtime_ns=1000000000, mode=416" in outcome.stdout, outcome.stderr


def test_permissions_are_missing(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """What may not be written is named, and nothing remains."""
    closed = public_root / "closed"
    closed.mkdir()
    (closed / "x").write_bytes(b"x")
    closed.chmod(0o555)
    code = """
        from airflow_provider_sync.exceptions import FileError
        from airflow_provider_sync.files.tree_writer import Metadata, NewFile
        with airflow_provider_sync.files.open_storage(sys.argv[1]).writer(may_replace=lambda path: False) as writer:
            for call in (
                lambda: writer.put("closed/new", b"x", Metadata()),
                lambda: writer.put("closed/new/deeper", b"x", Metadata()),
                lambda: writer.create("closed/new", size=1, metadata=Metadata()),
                lambda: writer.create("closed/new", size=1, metadata=Metadata(), resume_key="1"),
                lambda: writer.copy("closed/new", "closed/x", Metadata()),
                lambda: writer.make_link("closed/new", "x"),
                lambda: writer.remove("closed/x"),
                lambda: writer.set_metadata("closed/x", Metadata(1)),
            ):
                try:
                    call()
                except FileError as error:
                    print(error)
    """
    outcome = run_as_user(code, str(public_root))
    assert outcome.returncode == 0, outcome.stderr
    lines = outcome.stdout.splitlines()
    assert len(lines) == 8
    assert all("Give the user of this process access to it." in line for line in lines)
    assert tree(public_root) == {"closed": None, "closed/x": b"x"}


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "..", "a/../../../x", "", "x\0"])
def test_links_out_of_the_root_are_refused(writer: LocalTreeWriter, root: Path, target: str) -> None:
    """A link is made only if it leads to something below the root."""
    with pytest.raises(FileError, match=r"The link 'link' in .* would lead out of the directory"):
        writer.make_link("link", target)
    assert writer.commit() == []
    assert tree(root) == {}


def test_links_that_lead_out_together(writer: LocalTreeWriter, root: Path, outside: Path) -> None:
    """Two links that stay inside, each by its text, cannot lead out together."""
    writer.make_link("deep/er/top", "../..")
    with pytest.raises(FileError, match=r"The link 'deep/er/out' in .* would lead out"):
        writer.make_link("deep/er/out", "top/../outside/x")
    writer.commit()
    assert tree(root) == {"deep": None, "deep/er": None, "deep/er/top": b"-> ../.."}


def test_links(writer: LocalTreeWriter, root: Path) -> None:
    """A link replaces a file or another link by the commit; its target need not be there."""
    (root / "file").write_bytes(b"x")
    (root / "old").symlink_to("file")
    writer.make_link("file", "other")
    writer.make_link("old", "sub/x")
    writer.make_link("sub/up", "../file")
    assert (root / "file").read_bytes() == b"x"
    assert writer.commit() == []
    assert tree(root) == {"file": b"-> other", "old": b"-> sub/x", "sub": None, "sub/up": b"-> ../file"}


def test_removing(writer: LocalTreeWriter, root: Path) -> None:
    """Files and empty directories are removed; what is not there, or is something else, is no error."""
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "sub" / "x").write_bytes(b"x")
    for path in ("missing", "missing/x", "sub", "sub/x/y"):
        writer.remove(path)
    assert not writer.remove_directory("sub")
    assert tree(root) == {"sub": None, "sub/deep": None, "sub/x": b"x"}
    writer.remove("sub/x")
    for path in ("sub/deep", "sub", "sub", "missing/x"):
        assert writer.remove_directory(path)
    assert tree(root) == {}
    writer.put("sub/x", b"x", PLAIN)
    writer.commit()
    assert tree(root) == {"sub": None, "sub/x": b"x"}


def test_a_file_in_the_way_of_a_directory(storage: LocalStorage, root: Path) -> None:
    """It stays until what comes in its place is complete, and if it may not go, nothing changes."""
    asked: list[str] = []

    def may_replace(path: str) -> bool:
        asked.append(path)
        return path == "may"

    for name in ("may", "stays"):
        (root / name).write_bytes(b"old")
    with storage.writer(may_replace=may_replace) as writer:
        writer.put("may/deep/x", b"new", PLAIN)
        writer.put("may/deep/y", b"new", PLAIN)
        with pytest.raises(FileError, match=r"'stays' in .* stands in the way of 'stays/'"):
            writer.put("stays/x", b"new", PLAIN)
        with pytest.raises(FileError, match=r"'stays' in .* stands in the way"):
            writer.make_directory("stays", PLAIN)
        assert (root / "may").read_bytes() == b"old"
        writer.commit()
        assert tree(root) == {"may": None, "may/deep": None, "may/deep/x": b"new", "may/deep/y": b"new", "stays": b"old"}
        writer.put("may/z", b"new", PLAIN)
    assert (root / "may" / "z").read_bytes() == b"new"
    assert asked == ["may", "stays", "stays"]


def test_what_comes_in_the_place_of_a_file_may_fail(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If nothing comes in its place, because of an exception or a failure, a file in the way of a directory stays."""
    (root / "a").write_bytes(b"old")

    def work(writer: LocalTreeWriter) -> None:
        writer.put("a/deep/x", b"new", PLAIN)
        writer.make_directory("a/b", PLAIN)

    break_off(storage, work, may_replace=True)
    assert tree(root) == {"a": b"old"}
    failed: list[str] = []
    with storage.writer(may_replace=lambda path: True, on_failure=lambda path, error: failed.append(path)) as writer:
        writer.put("a/x", b"new", PLAIN)
        with monkeypatch.context() as patch:
            FailingCall("rename", errno.EILSEQ, lambda name: name == "x", patch)
            writer.commit()
    assert (failed, tree(root)) == (["a/x"], {"a": b"old"})
    with storage.writer(may_replace=lambda path: True) as writer:
        writer.put("a/x", b"new", PLAIN)
        calls = iter([False, False, True])
        with monkeypatch.context() as patch:
            # The content gets its name, the old file goes aside, and then its directory does not get its name.
            FailingCall("rename", errno.EACCES, lambda name: next(calls, False), patch)
            with pytest.raises(FileError, match=r"Cannot write 'a/' in .*: Permission denied"):
                writer.commit()
        assert (root / "a").read_bytes() == b"old"
    # The commit at the end of the block tried again.
    assert tree(root) == {"a": None, "a/x": b"new"}


def test_an_empty_directory_in_the_place_of_a_file(storage: LocalStorage, root: Path) -> None:
    """A directory that is wanted for itself replaces a file, too."""
    (root / "a").write_bytes(b"old")
    with storage.writer(may_replace=lambda path: True) as writer:
        writer.make_directory("a", OLD)
        assert (root / "a").read_bytes() == b"old"
    assert tree(root) == {"a": None}
    assert (root / "a").stat().st_mtime_ns == LONG_AGO


def test_somebody_makes_the_directory_first(storage: LocalStorage, root: Path) -> None:
    """A directory that appears in the place of the obstacle meanwhile is not thrown away."""
    (root / "a").write_bytes(b"old")
    with storage.writer(may_replace=lambda path: True) as writer:
        writer.put("a/x", b"new", PLAIN)
        (root / "a").unlink()
        (root / "a").mkdir()
        (root / "a" / "theirs").write_bytes(b"theirs")
        with pytest.raises(FileError, match=r"Cannot write 'a/' in .*: File exists"):
            writer.commit()
        assert (root / "a" / "theirs").read_bytes() == b"theirs"
        (root / "a" / "theirs").unlink()
        (root / "a").rmdir()
    assert tree(root) == {"a": None, "a/x": b"new"}


def test_a_directory_in_the_way_of_a_file(
    storage: LocalStorage, root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes as a whole if all its files may go, and else stays as it is."""
    for name in ("may", "stays", "late"):
        (root / name / "deep").mkdir(parents=True)
        (root / name / "deep" / "x").write_bytes(b"old")
    (root / "may" / "link").symlink_to(outside)
    (root / "empty" / "deeper").mkdir(parents=True)
    allowed = {"may/deep/x", "late/deep/x"}
    with storage.writer(may_replace=lambda path: path in allowed) as writer:
        for call in (lambda: writer.put("stays", b"new", PLAIN), lambda: writer.make_link("stays", "may")):
            with pytest.raises(FileError, match=r"'stays/deep/x' in .* stands in the way of 'stays'"):
                call()
        writer.put("may", b"new", PLAIN)
        writer.put("empty", b"new", PLAIN)
        writer.commit()
        writer.put("late", b"new", PLAIN)
        (root / "late" / "more").write_bytes(b"precious")
        with pytest.raises(FileError, match=r"'late/more' in .* stands in the way of 'late'"):
            writer.commit()
        (root / "late" / "more").unlink()
        writer.put("late", b"new", PLAIN)
        with monkeypatch.context() as patch:
            calls = iter([False, False, True])
            original = os.rename
            FailingCall("rename", errno.EACCES, lambda name: next(calls, False), patch)
            with pytest.raises(FileError, match=r"Cannot write 'late' in .*: Permission denied"):
                writer.commit()
        assert os.rename is original
    assert tree(root) == {
        "may": b"new",
        "empty": b"new",
        **{f"{name}{below}": None for name in ("stays", "late") for below in ("", "/deep")},
        **{f"{name}/deep/x": b"old" for name in ("stays", "late")},
    }
    assert tree(outside) == {"x": b"precious"}


def test_several_threads(storage: LocalStorage, root: Path) -> None:
    """Threads put and commit at the same time; each file is returned once, with more directories than stay open."""
    directories = MAX_OPEN + 40

    def work(thread: int) -> list[str]:
        done: list[str] = []
        for number in range(directories):
            writer.put(f"{number:03}/{thread}", b"x", PLAIN)
            if number % 50 == thread:
                done += [entry.path for entry in writer.commit()]
        return done

    before = open_descriptors()
    with storage.writer(durable=False, may_replace=lambda path: False) as writer:
        with ThreadPoolExecutor(4) as pool:
            done = [path for paths in pool.map(work, range(4)) for path in paths]
        assert open_descriptors() - before < MAX_OPEN + 10
        done += [entry.path for entry in writer.commit()]
    assert sorted(done) == sorted(f"{number:03}/{thread}" for number in range(directories) for thread in range(4))
    assert len(list(root.glob("*/*"))) == 4 * directories


def test_a_directory_that_is_evicted_while_in_use(storage: LocalStorage, root: Path) -> None:
    """A large file may take as long as it likes, whatever else is written meanwhile."""
    with storage.writer(durable=False, may_replace=lambda path: False) as writer:
        new_file = writer.create("large/x", size=3, metadata=PLAIN)
        for number in range(MAX_OPEN + 10):
            writer.put(f"{number:03}/x", b"x", PLAIN)
        new_file.write(b"abc")
        new_file.finish()
    assert (root / "large" / "x").read_bytes() == b"abc"


def test_disks_that_take_a_part(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that writes only some bytes is followed by others."""
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: original(descriptor, memoryview(data)[:2]))
    writer.put("small", b"abcdefg", PLAIN)
    new_file = writer.create("large", size=5, metadata=PLAIN)
    new_file.write(b"12345")
    new_file.finish()
    monkeypatch.undo()
    writer.commit()
    assert tree(root) == {"small": b"abcdefg", "large": b"12345"}


@pytest.mark.parametrize("call", ["utime", "fsync"])
def test_a_large_file_that_fails_at_its_end(
    storage: LocalStorage, root: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot get its times, or does not reach the disk, is named, and nothing of it remains."""
    before = open_descriptors()
    monkeypatch.setattr("airflow_provider_sync.files.local.pending_files.syncs_as_a_whole", lambda descriptor: False)
    monkeypatch.setattr("airflow_provider_sync.files.local.pending_files.MAX_HELD", 0)
    with storage.writer(may_replace=lambda path: False) as writer:
        new_file = writer.create("large", size=1, metadata=OLD)
        new_file.write(b"x")
        with monkeypatch.context() as patch:
            FailingCall(call, errno.EIO, lambda name: "airflow-sync" in name, patch)
            with pytest.raises(FileError, match=r"Cannot write 'large' in .*: Input/output error"):
                new_file.finish()
    assert tree(root) == {}
    assert open_descriptors() == before


@pytest.mark.parametrize(("call", "code"), [("pread", errno.EIO), ("copy_file_range", errno.EIO), ("unlink", errno.EACCES)])
def test_a_large_file_whose_disk_fails(
    storage: LocalStorage, root: Path, call: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that can neither be read, nor copied on, nor cleaned up, names the file."""
    (root / "from").write_bytes(b"abc")
    with storage.writer(may_replace=lambda path: False) as writer:
        new_file = writer.create("large", size=9, metadata=PLAIN)
        new_file.write(b"x")
        with monkeypatch.context() as patch:
            FailingCall(call, code, lambda name: True, patch)
            with pytest.raises(FileError, match="Cannot write 'large'"):
                _use(new_file, call)
        new_file.discard()
    assert set(tree(root)) <= {"from"} | {path.name for path in root.glob(".airflow-sync-*")}


def _use(new_file: NewFile, call: str) -> None:
    if call == "pread":
        list(new_file.read_written())
    elif call == "copy_file_range":
        new_file.copy_range("from", 0, 2)
    else:
        new_file.discard()


def test_without_locks(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On file systems without locks, large files are written all the same."""

    def flock(descriptor: int, operation: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    new_file = writer.create("large", size=1, metadata=PLAIN, resume_key="1")
    new_file.write(b"x")
    new_file.keep()
    new_file = writer.create("large", size=1, metadata=PLAIN, resume_key="1")
    assert new_file.written == 1
    new_file.finish()
    writer.commit()
    assert tree(root) == {"large": b"x"}


def test_large_files_begin_to_be_written_early(storage: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a large file the disk gets stretches while it is written, so that a commit need not wait for all of it."""
    begun: list[tuple[int, int]] = []
    module = "airflow_provider_sync.files.local.new_file"
    monkeypatch.setattr(f"{module}._STRETCH_BYTES", 4)
    monkeypatch.setattr(f"{module}.start_writing", lambda descriptor, offset, length: begun.append((offset, length)))
    for durable in (True, False):
        with storage.writer(durable=durable, may_replace=lambda path: False) as writer:
            new_file = writer.create("large", size=10, metadata=PLAIN)
            for _ in range(5):
                new_file.write(b"xy")
            new_file.finish()
    assert begun == [(0, 4), (4, 4)]


def test_a_mount_point_is_no_empty_directory(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be removed for another reason than its content is an error."""
    (root / "a").mkdir()
    FailingCall("rmdir", errno.EBUSY, lambda name: name == "a", monkeypatch)
    with pytest.raises(FileError, match=r"Cannot delete 'a' in .*: Device or resource busy"):
        writer.remove_directory("a")


def test_special_files_are_not_copied(writer: LocalTreeWriter, root: Path) -> None:
    """A pipe is no file whose content could be copied."""
    os.mkfifo(root / "pipe")
    with pytest.raises(FileError, match=r"Cannot read 'pipe' in .* not a regular file"):
        writer.copy("new", "pipe", PLAIN)


NAMES = ("a", "b", "a.c")
CONTENT = st.one_of(st.none(), st.sampled_from([b"1", b"2", b"-> ", b"-> a"]))
TREES = st.dictionaries(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join), CONTENT, max_size=8).map(
    lambda found: {
        path: content
        for path, content in found.items()
        if not any(path.startswith(f"{other}/") and found[other] is not None for other in found)
    }
)


def link_target(path: str, content: bytes) -> str:
    """Return where a link of a generated tree leads: to the root, or to a name there."""
    return "../" * path.count("/") + (content.removeprefix(b"-> ").decode() or ".")


def build(root: Path, content: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Make a tree of files, links, and directories, which are ``None``; return what :func:`tree` says of it."""
    root.mkdir()
    for path, data in content.items():
        place = root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if data is None:
            place.mkdir(exist_ok=True)
        elif data.startswith(b"->"):
            place.symlink_to(link_target(path, data))
        else:
            place.write_bytes(data)
    return tree(root)


@settings(max_examples=60, deadline=None)
@given(old=TREES, new=TREES, order=st.randoms(use_true_random=False), commits=st.integers(1, 9), fails=st.booleans())
def test_any_tree_becomes_any_other(
    old: dict[str, bytes | None], new: dict[str, bytes | None], order: random.Random, commits: int, fails: bool
) -> None:
    """Whatever stands in the way of what, and in any order, the new tree is there at the end; after an exception, the old one."""
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        before, wanted = build(root, old), build(Path(name) / "wanted", new)
        steps = [(path, content) for path, content in wanted.items() if before.get(path, b"missing") != content]
        order.shuffle(steps)
        with (
            suppress(ZeroDivisionError),
            LocalStorage(root).writer(durable=False, may_replace=lambda path: wanted.get(path) is None) as writer,
        ):
            for number, (path, content) in enumerate(steps, 1):
                if content is None:
                    writer.make_directory(path, PLAIN)
                elif content.startswith(b"->"):
                    writer.make_link(path, content.removeprefix(b"-> ").decode())
                else:
                    writer.put(path, content, PLAIN)
                if number % commits == 0 and not fails:
                    writer.commit()
            if fails:
                raise ZeroDivisionError
            writer.commit()
            gone = [path for path in before if path not in wanted]
            for path in reversed(gone):
                if before[path] is None:
                    assert writer.remove_directory(path)
                else:
                    writer.remove(path)
        assert tree(root) == (before if fails else wanted)
