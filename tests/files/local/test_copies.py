"""Files of a local disk that are copied and moved."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.conftest import tree
from tests.files.local.writing import LONG_AGO, OLD, PLAIN, FailingCall


@pytest.mark.parametrize("move", [False, True])
def test_copies(writer: LocalTreeWriter, root: Path, move: bool) -> None:
    """A copy has the content of another file and times of its own; the file of a move keeps its inode if it has no other name."""
    (root / "from").write_bytes(b"content" * 1000)
    (root / "from").chmod(0o640)
    (root / "old").write_bytes(b"old")
    (root / "old").chmod(0o600)
    inode = (root / "from").stat().st_ino
    writer.copy("sub/new", "from", OLD, move=move)
    writer.copy("old", "from", Metadata(LONG_AGO + 1), move=move)
    assert len(writer.commit()) == 2
    assert (root / "old").read_bytes() == (root / "sub" / "new").read_bytes() == b"content" * 1000
    assert ((root / "sub" / "new").stat().st_ino == inode) is move
    assert (root / "old").stat().st_ino != inode
    assert (root / "sub" / "new").stat().st_mtime_ns == OLD.mtime_ns
    assert (root / "old").stat().st_mtime_ns == LONG_AGO + 1
    assert stat.S_IMODE((root / "old").stat().st_mode) == 0o600
    writer.remove("from")
    writer.copy("old", "sub/new", PLAIN, move=move)
    writer.commit()
    assert set(tree(root)) == {"old", "sub", "sub/new"}


def test_the_version_of_a_moved_file(writer: LocalTreeWriter, storage: LocalStorage, root: Path) -> None:
    """After the old name of a moved file is gone, setting its metadata returns its new version."""
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
    """A file that changed since it was compared is not copied."""
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
    """Without hard links and kernel copies, files are read and written."""
    (root / "from").write_bytes(b"content")
    for name in ("link", "copy_file_range"):
        FailingCall(name, code, lambda name: True, monkeypatch)
    writer.copy("new", "from", OLD, move=True)
    writer.commit()
    assert tree(root) == {"from": b"content", "new": b"content"}


@pytest.mark.parametrize("call", ["link", "copy_file_range"])
def test_a_copy_that_fails(writer: LocalTreeWriter, root: Path, call: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy without room on the disk is named and leaves nothing."""
    (root / "from").write_bytes(b"content")
    FailingCall(call, errno.ENOSPC, lambda name: True, monkeypatch)
    with pytest.raises(FileError, match=r"Cannot write 'new' in .*: No space left"):
        writer.copy("new", "from", OLD, move=call == "link")
    assert tree(root) == {"from": b"content"}


def test_special_files_are_not_copied(writer: LocalTreeWriter, root: Path) -> None:
    """A pipe is not copied."""
    os.mkfifo(root / "pipe")
    with pytest.raises(FileError, match=r"Cannot read 'pipe' in .* not a regular file"):
        writer.copy("new", "pipe", PLAIN)
