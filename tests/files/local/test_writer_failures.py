"""A local writer on a full or broken disk, without permission, interrupted, killed: no wrong names, and nothing left behind."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.pending_files import MAX_HELD
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import Metadata, remove_emptied
from tests.files.conftest import PROJECT, tree
from tests.files.local.writing import LONG_AGO, PLAIN, FailingCall
from tests.open_files import open_files


def test_a_full_disk(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is an error that names the file, and not an error of one file."""
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
    assert tree(root) == {"a": b"a"}


@pytest.mark.parametrize("files", [1, 5, 2 * MAX_HELD])
def test_a_disk_that_does_not_take_a_file(storage: LocalStorage, root: Path, files: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """If one file cannot be made durable, it is named, and no file of the commit gets its name."""
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
    """If the disk reports an error but each file can be synced, the commit succeeds."""
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
    """Without a callback for failures, the commit raises the first one after the others have their names."""
    FailingCall("rename", errno.EILSEQ, lambda name: name in ("a", "c"), monkeypatch)
    with storage.writer(may_replace=lambda path: False) as writer:
        for name in ("a", "b", "c"):
            writer.put(name, b"x", PLAIN)
        with pytest.raises(FileError, match="'a'"):
            writer.commit()
    assert tree(root) == {"b": b"x"}


def test_a_disk_that_breaks_during_renames(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of all files ends the commit at once, and the rest is discarded."""
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
    """A signal between two renames leaves complete files with their names, and no temporary ones."""
    original = os.rename

    def rename(first: str, second: str, **options: int) -> None:
        original(first, second, **options)
        if second == "b":
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", rename)
    before = open_files()

    def work() -> None:
        with storage.writer(may_replace=lambda path: False) as writer:
            for name in ("a", "b", "c", "d"):
                writer.put(name, b"x", PLAIN)
            writer.commit()

    with pytest.raises(KeyboardInterrupt):
        work()
    assert tree(root) == {"a": b"x", "b": b"x"}
    assert open_files() <= before


def test_a_killed_writer_leaves_what_clean_removes(storage: LocalStorage, root: Path) -> None:
    """A killed process leaves temporary files, which the next sync removes or continues."""
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


def test_permissions_are_missing(public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """A path without write permission is named, and nothing remains."""
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


def test_disks_that_take_a_part(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that writes only some bytes is repeated for the rest."""
    original = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: original(descriptor, memoryview(data)[:2]))
    writer.put("small", b"abcdefg", PLAIN)
    new_file = writer.create("large", size=5, metadata=PLAIN)
    new_file.write(b"12345")
    new_file.finish()
    monkeypatch.undo()
    writer.commit()
    assert tree(root) == {"small": b"abcdefg", "large": b"12345"}


def test_a_mount_point_is_no_empty_directory(writer: LocalTreeWriter, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that cannot be removed for another reason than its content is an error."""
    (root / "a").mkdir()
    FailingCall("rmdir", errno.EBUSY, lambda name: name == "a", monkeypatch)
    with pytest.raises(FileError, match=r"Cannot delete 'a' in .*: Device or resource busy"):
        writer.remove_directory("a")


def test_a_limit_on_the_size_of_files(root: Path) -> None:
    """If a size limit stops a write, it is an error, the temporary file is removed, and the old content stays."""
    (root / "file").write_bytes(b"old")
    code = """if True:
        import resource, sys
        from airflow_provider_sync.files import open_storage
        from airflow_provider_sync.files.tree_writer import Metadata
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with open_storage(sys.argv[1]).writer(may_replace=lambda path: False) as writer:
                new_file = writer.create("file", size=300_000, metadata=Metadata())
                for _ in range(10):
                    new_file.write(b"x" * 30_000)
        except Exception as error:
            print(type(error).__name__, error)
    """
    outcome = subprocess.run([sys.executable, "-c", code, root], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert outcome.stdout.startswith("FileError Cannot write 'file'")
    assert "File too large" in outcome.stdout
    assert tree(root) == {"file": b"old"}


def test_names_are_durable_at_the_end(storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Content is synced before its name, and every changed directory at the end of the block."""
    (root / "old").mkdir()
    (root / "old" / "x").write_bytes(b"x")
    synced: list[str] = []

    def watch(descriptor: int) -> None:
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink()).removeprefix(str(root)))

    monkeypatch.setattr(os, "fsync", watch)
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.put("a/b/x", b"x", PLAIN)
        writer.put("a/b/y", b"y", PLAIN)
        writer.commit()
        assert len(synced) == 2
        assert all(".part" in name for name in synced)
        synced.clear()
        writer.remove("old/x")
        remove_emptied(writer, ["old/x"])
    assert sorted(synced) == ["", "/a", "/a/b"]
