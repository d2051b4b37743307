"""Writing many files to a local disk: whole or not at all, inside the root or not at all, and nothing left behind."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.open_directories import MAX_OPEN
from airflow_provider_sync.files.local.pending_files import MAX_HELD
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from tests.files.conftest import tree
from tests.files.local.writing import LONG_AGO, OLD, PLAIN, break_off, swapping
from tests.open_files import open_files


@pytest.mark.parametrize("durable", [True, False])
def test_files_get_their_names_by_a_commit(storage: LocalStorage, root: Path, durable: bool) -> None:
    """Written files appear by the commit with their times, and their entries equal those of the next walk."""
    before = open_files()
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
    assert open_files() <= before
    assert {path: content for path, content in tree(root).items() if content is not None} == {
        **{name: name.encode() for name in names},
        "last": b"",
    }


def test_the_root_is_made(tmp_path: Path) -> None:
    """A missing target is created, with the directories above it."""
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


def test_a_file_that_is_discarded_leaves_no_directory(storage: LocalStorage, root: Path) -> None:
    """Directories created only for discarded files are removed at the end; others stay."""
    (root / "there").mkdir()
    with storage.writer(may_replace=lambda path: False) as writer:
        for directory in ("lost/deep", "used/deep", "asked", "there"):
            writer.create(f"{directory}/f", size=1, metadata=PLAIN).discard()
        writer.make_directory("asked", PLAIN)
        writer.commit()
        writer.put("used/x", b"x", PLAIN)
    assert tree(root) == {"asked": None, "there": None, "used": None, "used/x": b"x"}


def test_an_exception_discards_what_is_not_committed(storage: LocalStorage, root: Path) -> None:
    """Committed files stay; of others, neither files nor their new directories remain."""
    (root / "there").mkdir()
    before = open_files()

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
    assert open_files() <= before


def test_nothing_goes_through_links(writer: LocalTreeWriter, root: Path, outside: Path) -> None:
    """Removing, copying and setting times below a link to a directory do not reach its target."""
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
    """While a directory is swapped for a link, writes never reach the link's target."""
    with swapping(root / "sub", outside):
        for number in range(100):
            with (
                suppress(FileError),
                storage.writer(durable=False, may_replace=lambda path: True, on_failure=lambda *_: None) as writer,
            ):
                writer.put(f"sub/x{number % 2 or ''}", b"new", PLAIN)
                writer.commit()
                writer.set_metadata("sub/x", OLD)
                writer.remove("sub/x")
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


@pytest.mark.parametrize("target", ["/etc/passwd", "../../x", "..", "a/../../../x", "", "x\0"])
def test_links_out_of_the_root_are_refused(writer: LocalTreeWriter, root: Path, target: str) -> None:
    """A link is created only if its target is below the root."""
    with pytest.raises(FileError, match=r"The link 'link' in .* would lead out of the directory"):
        writer.make_link("link", target)
    assert writer.commit() == []
    assert tree(root) == {}


def test_links_that_lead_out_together(writer: LocalTreeWriter, root: Path, outside: Path) -> None:
    """Two links that stay inside by their texts cannot lead out together."""
    writer.make_link("deep/er/top", "../..")
    with pytest.raises(FileError, match=r"The link 'deep/er/out' in .* would lead out"):
        writer.make_link("deep/er/out", "top/../outside/x")
    writer.commit()
    assert tree(root) == {"deep": None, "deep/er": None, "deep/er/top": b"-> ../.."}


def test_links(writer: LocalTreeWriter, root: Path) -> None:
    """A link replaces a file or another link by the commit; its target may be missing."""
    (root / "file").write_bytes(b"x")
    (root / "old").symlink_to("file")
    writer.make_link("file", "other")
    writer.make_link("old", "sub/x")
    writer.make_link("sub/up", "../file")
    assert (root / "file").read_bytes() == b"x"
    assert writer.commit() == []
    assert tree(root) == {"file": b"-> other", "old": b"-> sub/x", "sub": None, "sub/up": b"-> ../file"}


def test_removing(writer: LocalTreeWriter, root: Path) -> None:
    """Files and empty directories are removed; a missing path, or another kind, is no error."""
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


def test_several_threads(storage: LocalStorage, root: Path) -> None:
    """Several threads can write and commit; each file is returned once, also with many directories."""
    directories = MAX_OPEN + 40

    def work(thread: int) -> list[str]:
        done: list[str] = []
        for number in range(directories):
            writer.put(f"{number:03}/{thread}", b"x", PLAIN)
            if number % 50 == thread:
                done += [entry.path for entry in writer.commit()]
        return done

    before = open_files()
    with storage.writer(durable=False, may_replace=lambda path: False) as writer:
        with ThreadPoolExecutor(4) as pool:
            done = [path for paths in pool.map(work, range(4)) for path in paths]
        assert len(open_files() - before) < MAX_OPEN + 10
        done += [entry.path for entry in writer.commit()]
    assert sorted(done) == sorted(f"{number:03}/{thread}" for number in range(directories) for thread in range(4))
    assert len(list(root.glob("*/*"))) == 4 * directories


def test_a_directory_that_is_evicted_while_in_use(storage: LocalStorage, root: Path) -> None:
    """The write of a large file continues if other files evict its directory from the cache."""
    with storage.writer(durable=False, may_replace=lambda path: False) as writer:
        new_file = writer.create("large/x", size=3, metadata=PLAIN)
        for number in range(MAX_OPEN + 10):
            writer.put(f"{number:03}/x", b"x", PLAIN)
        new_file.write(b"abc")
        new_file.finish()
    assert (root / "large" / "x").read_bytes() == b"abc"
