"""Files whose content the target has under another name."""

from __future__ import annotations

import os
import shutil

import pytest

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local import entries
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.sync.directories.version2 import large_files, listings
from tests.sync.directories.mirror import Mirror, everything, source, target


@pytest.fixture
def folders(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give a few files that both sides have, on a disk with a clock so fine that no file is racy."""
    monkeypatch.setattr(entries, "_FINE_NS", 0)
    for number in range(20):
        folders_of_version2.put(f"old/{number}", f"content {number}" * 100)
    folders_of_version2.sync()
    # The server has digested them by now.
    folders_of_version2.sync({"checksum": "always"})
    return folders_of_version2


@pytest.mark.parametrize("options", [{}, {"atomic": True}, {"backup": "kept"}], ids=["plain", "atomic", "backup"])
def test_a_renamed_directory_is_not_fetched(folders: Mirror, options: dict[str, object]) -> None:
    """The files of a renamed directory are not fetched, and keep content and times."""
    (source(folders) / "old").rename(source(folders) / "new")
    report = folders.sync(options)
    assert (report.files_added, report.files_deleted, report.files_moved, report.bytes_written) == (20, 20, 20, 0)
    assert report.verified == "digest"
    files = {name: text for name, text in folders.contents().items() if not name.startswith("kept/")}
    assert files == {f"new/{number}": f"content {number}" * 100 for number in range(20)}
    assert (target(folders) / "new/3").stat().st_mtime_ns == (source(folders) / "new/3").stat().st_mtime_ns
    assert all(path.stat().st_nlink == 1 for path in (target(folders) / "new").iterdir())
    assert folders.sync(options).status == "unchanged"


def test_copies_are_files_of_their_own(folders: Mirror) -> None:
    """Copies are made at the target as separate files, not as links."""
    shutil.copy(source(folders) / "old/1", source(folders) / "copy")
    shutil.copy(source(folders) / "old/2", source(folders) / "one")
    shutil.copy(source(folders) / "old/2", source(folders) / "two")
    (source(folders) / "old/2").unlink()
    folders.sync(dry_run=True)
    report = folders.sync()
    assert report.files_added == 3
    assert report.files_moved + report.bytes_written // 900 == 3
    folders.assert_equal()
    assert all(path.stat().st_nlink == 1 for path in target(folders).rglob("*") if path.is_file())


def test_a_file_that_changed_here_is_not_copied(folders: Mirror) -> None:
    """A file of the target that changed since it was digested is not copied."""
    (target(folders) / "old/1").write_text("changed")
    (source(folders) / "old/1").rename(source(folders) / "moved")
    report = folders.sync()
    assert (report.files_added, report.files_moved) == (1, 0)
    folders.assert_equal()


def test_a_copy_that_fails_is_fetched(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be copied at the target is fetched; a full disk ends the sync."""

    def fail(*_: object, **__: object) -> None:
        raise FileError("gone") from OSError(2, "gone")

    (source(folders) / "old").rename(source(folders) / "new")
    monkeypatch.setattr(LocalTreeWriter, "copy", fail)
    report = folders.sync()
    assert (report.files_added, report.files_moved) == (20, 0)
    folders.assert_equal()


def test_a_large_file_is_recognised_by_its_size(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large file with a size that the target has is digested before it is fetched."""
    for module in (large_files, listings):
        monkeypatch.setattr(module, "LARGE_BYTES", 10_000)
    folders = folders_of_version2
    (source(folders) / "a").mkdir(parents=True)
    (source(folders) / "a/large").write_bytes(os.urandom(50_000))
    os.utime(source(folders) / "a/large", (1_700_000_000, 1_700_000_000))  # of a young file, no digest is remembered
    folders.sync()
    shutil.copy(source(folders) / "a/large", source(folders) / "copy")
    report = folders.sync()
    assert (report.files_added, report.files_moved, report.bytes_written) == (1, 1, 0)
    assert (target(folders) / "copy").read_bytes() == (source(folders) / "a/large").read_bytes()
    assert everything(target(folders)) == ["a", "a/large", "copy"]


def test_without_deletes_files_are_copied(folders: Mirror) -> None:
    """With delete: false, surplus files stay, and are copied instead of moved."""
    (source(folders) / "old").rename(source(folders) / "new")
    report = folders.sync({"delete": False})
    assert (report.files_added, report.files_deleted) == (20, 0)
    assert len(folders.contents()) == 40
