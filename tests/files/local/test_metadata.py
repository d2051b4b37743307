"""Times, permissions and owners of what a local writer writes."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.tree_writer import Metadata
from tests.files.conftest import tree
from tests.files.local.writing import LONG_AGO, OLD, PLAIN, FailingCall


def test_permissions(storage: LocalStorage, root: Path) -> None:
    """A new file follows the umask, a replaced one keeps its permissions, and requested permissions override both."""
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
    """A sync that runs as root keeps the owner of a file, even if it sets permissions."""
    (root / "file").write_bytes(b"old")
    os.chown(root / "file", 1234, 2345)
    writer.put("file", b"new", Metadata(mode=0o600))
    writer.commit()
    status = (root / "file").stat()
    assert (status.st_uid, status.st_gid, (root / "file").read_bytes()) == (1234, 2345, b"new")


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser gives files away")
@pytest.mark.parametrize("mode", [None, 0o640])
def test_a_file_of_another_user_gets_a_time(
    public_root: Path, run_as_user: Callable[..., subprocess.CompletedProcess[str]], mode: int | None
) -> None:
    """A process that may not set the times of a file, but may replace it, gives its name a copy with the time."""
    (public_root / "file").write_bytes(b"content")
    (public_root / "file").chmod(0o644)
    os.chown(public_root / "file", 1234, 2345)
    public_root.chmod(0o777)
    code = f"""
        from airflow_provider_sync.files.tree_writer import Metadata
        with airflow_provider_sync.files.open_storage(sys.argv[1]).writer(may_replace=lambda path: False) as writer:
            print(writer.set_metadata("file", Metadata({LONG_AGO}, {mode})), len(writer.commit()))
        """
    outcome = run_as_user(code, str(public_root))
    assert (outcome.stdout, outcome.stderr) == ("None 1\n", "")
    status = (public_root / "file").stat()
    assert ((public_root / "file").read_bytes(), status.st_mtime_ns, status.st_uid) == (b"content", LONG_AGO, 65534)
    assert stat.S_IMODE(status.st_mode) == (mode or 0o644)


def test_directories_get_their_metadata_last(storage: LocalStorage, root: Path) -> None:
    """Directories have the requested times and permissions, after everything was written into them."""
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
    """Times and permissions of a file are set without reading its content, and its new entry is returned."""
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
    """The owner of an unreadable file can set its times and permissions."""
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
