"""Writing to a local disk: whole or not at all, inside the root or not at all, and nothing left behind."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from tests.files.conftest import PROJECT, break_off, put, tree
from tests.files.local.writing import swapping


def test_the_root_is_made_by_the_first_write(tmp_path: Path) -> None:
    """A target directory that does not exist yet is made, with those above it, when there is something to write."""
    storage = LocalStorage(tmp_path / "a" / "b")
    assert list(storage.scan(missing_ok=True)) == []
    assert storage.clean(0) == 0
    storage.flush()
    assert not (tmp_path / "a").exists()
    put(storage, "x")
    assert tree(tmp_path) == {"a": None, "a/b": None, "a/b/x": b"content"}


def test_links_in_the_way_are_replaced(storage: LocalStorage, root: Path, outside: Path) -> None:
    """A link in the place of a file or of a directory above it gives way, and what is behind it stays as it is."""
    (root / "file").symlink_to(outside / "x")
    (root / "dir").symlink_to(outside)
    (root / "dangling").symlink_to(outside / "new")
    for name in ("file", "dir/x", "dangling"):
        put(storage, name)
    assert tree(root) == {"file": b"content", "dir": None, "dir/x": b"content", "dangling": b"content"}
    assert tree(outside) == {"x": b"precious"}


def test_deleting_never_goes_through_links(storage: LocalStorage, root: Path, outside: Path) -> None:
    """A path that leads through a link is no file of this directory; deleting it changes nothing."""
    (root / "dir").symlink_to(outside)
    storage.delete("dir/x")
    assert tree(outside) == {"x": b"precious"}
    storage.delete("dir")
    assert tree(outside) == {"x": b"precious"}
    assert tree(root) == {}


def test_a_swapped_directory_never_leads_a_write_out(storage: LocalStorage, root: Path, outside: Path) -> None:
    """While somebody keeps swapping a directory for a link, no write and no deletion reaches what is behind it."""
    with swapping(root / "sub", outside):
        for number in range(200):
            for call in (lambda name: put(storage, name), storage.delete):
                with suppress(FileError):
                    call(f"sub/x{number % 2 or ''}")
    assert tree(outside) == {"x": b"precious"}


def test_permissions(storage: LocalStorage, root: Path) -> None:
    """A new file gets what the umask leaves; one that is replaced keeps its mode, and nobody else may read it in between."""
    umask = os.umask(0o027)
    try:
        put(storage, "new")
    finally:
        os.umask(umask)
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o640
    (root / "private").write_bytes(b"old")
    (root / "private").chmod(0o600)
    with storage.write("private") as writer:
        writer.write(b"new")
        (temporary,) = root.glob(".airflow-sync-*")
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
    assert stat.S_IMODE((root / "private").stat().st_mode) == 0o600
    (root / "new").chmod(0o6755)
    put(storage, "new")
    assert stat.S_IMODE((root / "new").stat().st_mode) == 0o755


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
def test_a_replaced_file_keeps_its_owner(storage: LocalStorage, root: Path) -> None:
    """A sync that runs as root does not take files away from whom they belong to."""
    (root / "file").write_bytes(b"old")
    os.chown(root / "file", 1234, 2345)
    put(storage, "file")
    status = (root / "file").stat()
    assert (status.st_uid, status.st_gid) == (1234, 2345)


def test_a_write_that_fails_leaves_no_directories(storage: LocalStorage, root: Path) -> None:
    """Directories are made when the content is complete, not before."""
    seen: list[str] = []
    with pytest.raises(ZeroDivisionError):
        break_off(storage, "a/b/c", meanwhile=lambda: seen.extend(path.suffix for path in root.iterdir()))
    assert seen == [".part"]
    assert tree(root) == {}


def test_obstacles_stay_until_the_content_is_complete(storage: LocalStorage, root: Path) -> None:
    """What stands in the way and may go is there until the end, and after a failure."""
    put(storage, "file", b"1")
    put(storage, "dir/sub/x", b"2")
    (root / "dir" / "link").symlink_to("sub")
    (root / "dir" / "empty").mkdir()
    before = tree(root)
    for name, replaces in (("file/a/b", {"file"}), ("dir", {"dir/sub/x"})):
        with pytest.raises(ZeroDivisionError):
            break_off(storage, name, replaces=replaces)
    assert tree(root) == before
    put(storage, "file/a/b", b"new", replaces={"file"})
    put(storage, "dir", b"new", replaces={"dir/sub/x"})
    assert tree(root) == {"dir": b"new", "file": None, "file/a": None, "file/a/b": b"new"}


def test_what_may_not_go_is_refused_before_content_comes(storage: LocalStorage, root: Path) -> None:
    """An obstacle that is not among the files to be deleted is an error at once, and everything stays."""
    put(storage, "file", b"1")
    put(storage, "dir/x", b"2")
    put(storage, "dir/excluded", b"3")
    os.mkfifo(root / "fifo")
    (root / "odd").mkdir()
    os.mkfifo(root / "odd" / "fifo")
    before = sorted(path.name for path in root.rglob("*"))
    for name, replaces in (("file/x", set()), ("dir", {"dir/x"}), ("fifo/x", {"file"}), ("odd", {"dir/x"})):
        with pytest.raises(FileError, match="stands in the way"), storage.write(name, replaces=replaces):
            pytest.fail("content was asked for")
    assert sorted(path.name for path in root.rglob("*")) == before


def test_an_obstacle_that_appears_meanwhile_is_refused_at_the_end(storage: LocalStorage, root: Path) -> None:
    """A file that somebody puts in the way while content comes is not removed."""

    def write(name: str, theirs: Path) -> None:
        with storage.write(name, replaces={"c/x"}) as writer:
            writer.write(b"new")
            theirs.parent.mkdir(exist_ok=True)
            theirs.write_bytes(b"theirs")

    for name, theirs in (("a/b", root / "a"), ("c", root / "c" / "y")):
        with pytest.raises(FileError, match="stands in the way"):
            write(name, theirs)
    assert tree(root) == {"a": b"theirs", "c": None, "c/y": b"theirs"}


@pytest.mark.parametrize(("failing", "name"), [("replace", "file/a/b"), ("mkdir", "file/a/b"), ("replace", "dir")])
def test_obstacles_come_back_when_the_last_step_fails(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, failing: str, name: str
) -> None:
    """When the file cannot get its name after all, what was moved aside for it is put back."""
    put(storage, "file", b"1")
    put(storage, "dir/sub/x", b"2")
    before = tree(root)
    real = getattr(os, failing)

    def broken(path: str, *arguments: object, **options: object) -> None:
        if failing == "replace" or path == "a":
            raise OSError(errno.EIO, "Input/output error")
        real(path, *arguments, **options)

    monkeypatch.setattr(os, failing, broken)
    with pytest.raises(FileError, match="Check the disk"):
        put(storage, name, replaces={"file", "dir/sub/x"})
    monkeypatch.undo()
    assert tree(root) == before


def test_many_threads_make_one_directory(storage: LocalStorage, root: Path) -> None:
    """Files that need the same new directory, where a file stands, may be written at the same time."""
    put(storage, "a", b"old")
    start = threading.Barrier(8)

    def write(number: int) -> None:
        start.wait()
        for turn in range(10):
            put(storage, f"a/b/{number}-{turn}", replaces={"a"})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([path for path, content in tree(root).items() if content == b"content"]) == 80


def test_a_disk_that_fails_leaves_the_old_content(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When content cannot be made durable the file is not replaced, and the message says what to do."""
    put(storage, "file", b"old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match=r"Cannot write 'file' .*: No space left on device\. Free some space"):
        put(storage, "file", b"new")
    assert tree(root) == {"file": b"old"}
    with pytest.raises(FileError, match="Free some space"):
        storage.flush()


def test_a_limit_on_the_size_of_files(root: Path) -> None:
    """A write that the system stops in the middle is an error, the temporary file is gone and the old content there."""
    (root / "file").write_bytes(b"old")
    code = """if True:
        import resource, sys
        from airflow_provider_sync.files import open_storage
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with open_storage(sys.argv[1]).write("file") as writer:
                for _ in range(10):
                    writer.write(b"x" * 30_000)
        except Exception as error:
            print(type(error).__name__, error)
    """
    outcome = subprocess.run([sys.executable, "-c", code, root], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("FileError Cannot write 'file'")
    assert "File too large" in outcome.stdout
    assert tree(root) == {"file": b"old"}


def test_missing_permissions_are_said(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """Where this process may not write or delete, the error names the file and says whose permission is missing."""
    code = """
        from airflow_provider_sync.files import open_storage
        storage = open_storage(sys.argv[1])
        for call in (lambda: storage.write("sub/new").__enter__(), lambda: storage.delete("sub/x"), lambda: storage.clean(0)):
            try:
                print(call())
            except Exception as error:
                print(type(error).__name__, error)
    """
    (public_root / "sub").mkdir()
    (public_root / "sub" / "x").write_bytes(b"x")
    (public_root / "sub").chmod(0o555)
    (public_root / "closed").mkdir(mode=0o700)
    lines = run_as_user(code, str(public_root)).stdout.splitlines()
    assert lines[0].startswith("FileError Cannot write 'sub/new'")
    assert lines[1].startswith("FileError Cannot delete 'sub/x'")
    assert all("Permission denied. Give the user of this process access" in line for line in lines[:2])
    assert lines[2] == "0"
    assert tree(public_root) == {"sub": None, "sub/x": b"x", "closed": None}


def test_a_killed_writer_leaves_what_clean_removes(storage: LocalStorage, root: Path) -> None:
    """A process that is killed while it writes leaves the old content and a temporary file, which the next sync removes."""
    put(storage, "sub/file", b"old")
    code = """if True:
        import os, signal, sys
        from airflow_provider_sync.files import open_storage
        with open_storage(sys.argv[1]).write("sub/file") as writer:
            writer.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    outcome = subprocess.run([sys.executable, "-c", code, root], cwd=PROJECT, check=False)
    assert outcome.returncode == -signal.SIGKILL
    assert [entry.path for entry in storage.scan()] == ["sub/file"]
    assert len(list((root / "sub").iterdir())) == 2
    assert storage.clean(3600) == 0
    with storage.exclusive(0):
        assert storage.clean(0) == 1
    assert tree(root) == {"sub": None, "sub/file": b"old"}


def test_clean_removes_what_was_moved_aside(storage: LocalStorage, root: Path, outside: Path) -> None:
    """A directory that a killed sync had moved aside goes with all that it holds, and nothing behind its links."""
    aside = root / "a" / ".airflow-sync-0123456789abcdef.part"
    (aside / "deep").mkdir(parents=True)
    (aside / "deep" / "x").write_bytes(b"x")
    (aside / "link").symlink_to(outside)
    (root / "a" / ".airflow-sync-fedcba9876543210.part").symlink_to(outside)
    (root / "a" / "link").symlink_to(outside)
    (outside / ".airflow-sync-0123456789abcdef.part").write_bytes(b"theirs")
    assert storage.clean(0) == 2
    assert tree(root) == {"a": None, "a/link": b"-> " + os.fsencode(outside)}
    assert tree(outside) == {"x": b"precious", ".airflow-sync-0123456789abcdef.part": b"theirs"}


def test_names_are_durable_after_flush(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file's content is written to the disk before it gets its name, and every changed directory by a flush."""
    put(storage, "old/x")
    storage.flush()
    synced: list[str] = []

    def watch(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removeprefix(str(root)))

    monkeypatch.setattr(os, "fsync", watch)
    put(storage, "a/b/x")
    put(storage, "a/b/y")
    assert len(synced) == 2
    assert all(".part" in name for name in synced)
    synced.clear()
    storage.delete("old/x")
    storage.flush()
    assert sorted(synced) == ["", "/a", "/a/b"]
    synced.clear()
    storage.flush()
    assert synced == []
