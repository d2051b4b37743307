"""Opening a file of a local disk together with its entry."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.local.local_storage import LocalStorage
from tests.files.conftest import put
from tests.open_files import open_files


def test_a_file_with_its_entry(storage: Storage) -> None:
    """The entry of an open file equals that of a walk, on any storage, and stays its version."""
    put(storage, "a/file", b"content")
    walked = next(entry for entry in storage.walk() if entry.kind == "file")
    with storage.open_version("a/file") as version:
        assert (version.entry.path, version.entry.size, version.entry.version) == ("a/file", 7, walked.version)
        assert version.file.read() == b"content"
        assert version.is_unchanged()
    assert version.file.closed
    with pytest.raises(MissingFileError):
        storage.open_version("a/missing")


@pytest.mark.parametrize("change", ["grow", "rewrite", "touch"])
def test_a_change_is_seen(root: Path, change: str) -> None:
    """A file that changes while it is open has another version, also with equal size and time."""
    path = root / "file"
    path.write_bytes(b"content")
    os.utime(path, ns=(1, 1))
    with LocalStorage(root).open_version("file") as version:
        if change == "grow":
            path.write_bytes(b"contents")
        elif change == "rewrite":
            path.write_bytes(b"CONTENT")
        # The inode's change moves with the clock's next tick.
        while not version.file.closed and path.stat().st_ctime_ns == version.entry.changed_ns:
            os.utime(path, ns=(1, 1))
        os.utime(path, ns=(1, 1) if change != "touch" else (2, 2))
        assert not version.is_unchanged()


def test_a_file_that_is_replaced_is_still_itself(root: Path) -> None:
    """An open file keeps its content if it is replaced, and its version shows that."""
    path = root / "file"
    path.write_bytes(b"old")
    with LocalStorage(root).open_version("file") as version:
        (root / "new").write_bytes(b"new")
        (root / "new").rename(path)
        assert version.file.read() == b"old"


def test_descriptors_are_closed(root: Path) -> None:
    """After success or failure, no descriptor stays open."""
    (root / "a/b").mkdir(parents=True)
    (root / "a/b/file").touch()
    (root / "link").symlink_to("a/b/file")
    (root / "out").symlink_to("../..")
    storage = LocalStorage(root)
    before = open_files()
    for name in ("a/b/file", "a/b", "a/x", "x/y", "link", "out", "a/b/file/x"):
        for links in ("skip", "follow"):
            try:
                with storage.open_version(name, links=links):  # type: ignore[arg-type]
                    pass
            except FileError:
                pass
    assert open_files() <= before
