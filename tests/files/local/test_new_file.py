"""Large files on their way to a local disk: piece by piece, gone on with, or given up."""

from __future__ import annotations

import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import DirectoryBusyError, FileChangedError, FileError, MissingFileError
from airflow_provider_sync.files.local import new_file as module
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import NewFile
from tests.files.conftest import tree
from tests.files.local.writing import LONG_AGO, OLD, PLAIN, FailingCall
from tests.open_files import open_files


def test_a_cut_download_goes_on(storage: LocalStorage, root: Path) -> None:
    """A later writer continues the same version of a file, and digests the existing part."""
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
    """Another version, too many bytes, a link, and another file name are not continued."""
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


@pytest.mark.parametrize("full", ["error", "quota", "no room"])
def test_a_full_disk_is_not_kept_full(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, full: str) -> None:
    """If a file does not fit on the disk, its written part is removed."""
    with suppress(ZeroDivisionError), storage.writer(may_replace=lambda path: False) as writer:
        new_file = writer.create("large", size=6, metadata=PLAIN, resume_key="1")
        new_file.write(b"one")
        if full == "no room":
            free = os.statvfs_result((4096, 1, 1, 0, 0, 0, 0, 0, 0, 255))
            monkeypatch.setattr(os, "fstatvfs", lambda _: free)
        else:
            FailingCall("write", errno.ENOSPC if full == "error" else errno.EDQUOT, lambda name: True, monkeypatch)
            with pytest.raises(FileError, match="Free some space"):
                new_file.write(b"two")
        raise ZeroDivisionError
    assert not list(root.iterdir())


def test_two_writers_do_not_go_on_with_one_file(storage: LocalStorage, root: Path) -> None:
    """While one writer continues a file, another one fails with a transient error."""
    with storage.writer(may_replace=lambda path: False) as writer, storage.writer(may_replace=lambda path: False) as other:
        new_file = writer.create("large", size=6, metadata=PLAIN, resume_key="1")
        with pytest.raises(DirectoryBusyError, match="Another sync downloads 'large'"):
            other.create("large", size=6, metadata=PLAIN, resume_key="1")
        new_file.write(b"onetwo")
        new_file.finish()
    assert tree(root) == {"large": b"onetwo"}


def test_sizes_are_checked(writer: LocalTreeWriter, root: Path) -> None:
    """A large file with another size than announced does not get its name."""
    (root / "source").write_bytes(b"0123456789")
    short = writer.create("short", size=3, metadata=PLAIN, resume_key="1")
    short.write(b"ab")
    with pytest.raises(FileError, match="'short' came with 2 bytes instead of 3"):
        short.finish()
    long = writer.create("long", size=3, metadata=PLAIN)
    with pytest.raises(FileError, match="'long' came with more than its 3 bytes"):
        long.write(b"abcd")
    with pytest.raises(FileError, match="'long' came with more than its 3 bytes"):
        long.copy_range("source", 0, 4, pytest.fail)
    long.keep()
    taken = bytearray()
    cut = writer.create("cut", size=20, metadata=PLAIN)
    with pytest.raises(FileChangedError, match=r"'source' in .* became shorter"):
        cut.copy_range("source", 5, 10, taken.extend)
    assert taken == b"56789"
    assert b"".join(cut.read_written()) == b"56789"
    with pytest.raises(MissingFileError, match="Cannot read 'missing'"):
        cut.copy_range("missing", 0, 1, pytest.fail)
    cut.discard()
    cut.discard()
    assert writer.commit() == []
    assert tree(root) == {"source": b"0123456789"}


@pytest.mark.parametrize("shares", [False, True])
def test_a_file_of_ranges(writer: LocalTreeWriter, root: Path, shares: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file is built from ranges of existing files and new bytes, with or without shared blocks."""
    monkeypatch.setattr(module, "shares_blocks", lambda descriptor: shares)
    (root / "large").write_bytes(b"0123456789")
    (root / "other").write_bytes(b"abc")
    new_file = writer.create("large", size=10, metadata=OLD)
    assert new_file.shares_blocks is shares
    taken = bytearray()
    new_file.copy_range("large", 5, 5, taken.extend)
    new_file.write(b"--")
    new_file.copy_range("other", 0, 2, taken.extend)
    new_file.copy_range("large", 0, 1, taken.extend)
    assert taken == b"56789ab0"
    assert b"".join(new_file.read_written()) == b"56789--ab0"
    new_file.finish()
    (entry,) = writer.commit()
    assert (entry.path, entry.size, entry.mtime_ns) == ("large", 10, LONG_AGO)
    assert tree(root) == {"large": b"56789--ab0", "other": b"abc"}


def test_an_unfinished_file_that_somebody_cut(writer: LocalTreeWriter, root: Path) -> None:
    """An unfinished file that became shorter is an error instead of an endless loop."""
    new_file = writer.create("large", size=3, metadata=PLAIN)
    new_file.write(b"abc")
    os.truncate(next(root.iterdir()), 1)
    with pytest.raises(FileChangedError, match=r"The unfinished 'large' in .* was cut"):
        list(new_file.read_written())


@pytest.mark.parametrize("call", ["utime", "fsync"])
def test_a_large_file_that_fails_at_its_end(
    storage: LocalStorage, root: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that cannot get its times, or cannot be made durable, is named and removed."""
    before = open_files()
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
    assert open_files() <= before


@pytest.mark.parametrize(
    ("call", "code"),
    [("pread", errno.EIO), ("preadv", errno.EIO), ("copy_file_range", errno.EIO), ("unlink", errno.EACCES)],
)
def test_a_large_file_whose_disk_fails(
    storage: LocalStorage, root: Path, call: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk error while reading, copying or cleaning up names the file."""
    (root / "from").write_bytes(b"abc")
    with storage.writer(may_replace=lambda path: False) as writer:
        new_file = writer.create("large", size=9, metadata=PLAIN)
        new_file.write(b"x")
        with monkeypatch.context() as patch:
            patch.setattr(module, "shares_blocks", lambda descriptor: call == "copy_file_range")
            FailingCall(call, code, lambda name: True, patch)
            with pytest.raises(FileError, match="Cannot write 'large'"):
                _use(new_file, call)
        new_file.discard()
    assert set(tree(root)) <= {"from"} | {path.name for path in root.glob(".airflow-sync-*")}


def _use(new_file: NewFile, call: str) -> None:
    if call == "pread":
        list(new_file.read_written())
    elif call in ("preadv", "copy_file_range"):
        new_file.copy_range("from", 0, 2, pytest.fail)
    else:
        new_file.discard()


def test_without_locks(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On file systems without locks, large files can be written."""

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
    """The disk begins to write a large file early, so that a commit need not wait for all of it."""
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


def test_shared_blocks_that_changed_meanwhile(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With shared blocks, the bytes that were shared are returned, and a truncated file is noticed."""
    (root / "from").write_bytes(b"abcdef")
    copy_stretch = module.copy_stretch

    def copy_and_change(source: int, target: int, offset: int, length: int) -> int:
        copied = copy_stretch(source, target, offset, length)
        os.pwrite(target, b"X", 0)
        os.truncate(target, sizes.pop())
        return copied

    monkeypatch.setattr(module, "shares_blocks", lambda descriptor: True)
    monkeypatch.setattr(module, "copy_stretch", copy_and_change)
    sizes = [2, 3]
    taken = bytearray()
    new_file = writer.create("large", size=6, metadata=PLAIN)
    new_file.copy_range("from", 0, 3, taken.extend)
    assert taken == b"Xbc"
    with pytest.raises(FileChangedError, match=r"The unfinished 'large' in .* was cut"):
        new_file.copy_range("from", 3, 3, taken.extend)
