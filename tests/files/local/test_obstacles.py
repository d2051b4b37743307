"""What is in the way of what a local writer writes."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from tests.files.conftest import tree
from tests.files.local.writing import LONG_AGO, OLD, PLAIN, FailingCall, break_off


def test_links_in_the_way_are_replaced(writer: LocalTreeWriter, root: Path, outside: Path) -> None:
    """A link in place of a file or directory is replaced by the commit, and its target does not change."""
    (root / "file").symlink_to(outside / "x")
    (root / "dir").symlink_to(outside)
    (root / "dangling").symlink_to(outside / "new")
    for name in ("file", "dir/x", "dangling"):
        writer.put(name, b"new", PLAIN)
    assert (root / "dir").is_symlink()
    writer.commit()
    assert tree(root) == {"file": b"new", "dir": None, "dir/x": b"new", "dangling": b"new"}
    assert tree(outside) == {"x": b"precious"}


def test_a_file_in_the_way_of_a_directory(storage: LocalStorage, root: Path) -> None:
    """It stays until its replacement is complete, and nothing changes if it may not be replaced."""
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
    """If its replacement fails, a file in the way of a directory stays."""
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
    """An empty directory replaces a file, too."""
    (root / "a").write_bytes(b"old")
    with storage.writer(may_replace=lambda path: True) as writer:
        writer.make_directory("a", OLD)
        assert (root / "a").read_bytes() == b"old"
    assert tree(root) == {"a": None}
    assert (root / "a").stat().st_mtime_ns == LONG_AGO


def test_somebody_makes_the_directory_first(storage: LocalStorage, root: Path) -> None:
    """A directory that another program creates in place of the obstacle is not removed."""
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
    """It is replaced as a whole if all its files may be, and stays if not."""
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


def test_special_files_in_the_way(writer: LocalTreeWriter, root: Path) -> None:
    """Special files are never replaced, in place of a directory or below one in place of a file."""
    os.mkfifo(root / "fifo")
    (root / "odd").mkdir()
    os.mkfifo(root / "odd" / "fifo")
    for name in ("fifo/x", "odd"):
        with pytest.raises(FileError, match=r"fifo' in .* stands in the way"):
            writer.create(name, size=1, metadata=PLAIN)
    assert sorted(path.name for path in root.rglob("*")) == ["fifo", "fifo", "odd"]


def test_many_threads_need_one_directory(storage: LocalStorage, root: Path) -> None:
    """Files that need the same new directory in place of a file may be written at the same time."""
    (root / "a").write_bytes(b"old")

    def work(thread: int) -> None:
        for number in range(10):
            writer.put(f"a/b/{thread}-{number}", b"new", PLAIN)
            writer.commit()

    with storage.writer(durable=False, may_replace=lambda path: True) as writer, ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(list((root / "a" / "b").iterdir())) == 80
