"""Files that have to be digested to be compared, and that change, go or cannot be read at that moment."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import FileChangedError, FileError, SyncFailed
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.sync.directories.version2 import settle
from airflow_provider_sync.sync.directories.version2.compare import Work
from tests.sync.directories.disturbed import sync_with
from tests.sync.directories.mirror import Mirror


@pytest.fixture
def folders(folders_of_version2: Mirror) -> Mirror:
    """Give files of equal size and unequal time: "a" has another content at the target, "b" has not."""
    folders = folders_of_version2
    folders.put("a", "new")
    folders.put_target("a", "old")
    for put in (folders.put, folders.put_target):
        put("b", "same")
    for name in ("a", "b"):
        os.utime(Path(folders.target.location) / name, (9, 9))
    return folders


def before_settling(monkeypatch: pytest.MonkeyPatch, action: Callable[[], object]) -> None:
    """Let something happen between the listings and the digests."""
    run = settle.Settling.run

    def act_and_run(self: settle.Settling, work: Work) -> None:
        action()
        run(self, work)

    monkeypatch.setattr(settle.Settling, "run", act_and_run)


def test_digests_settle(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only files with different digests are fetched, in any number of digest requests."""
    monkeypatch.setattr(settle, "BATCH", 1)
    report = folders.sync()
    assert (report.files_updated, report.files_touched, report.files_read, report.verified) == (1, 1, 2, "digest")
    folders.assert_equal()


def test_a_file_that_goes_from_the_target(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the target that disappears before it is digested is fetched."""
    before_settling(monkeypatch, lambda: folders.remove_target("b"))
    report = folders.sync()
    assert (report.files_read, report.verified) == (1, "digest")
    folders.assert_equal()


def test_a_file_that_goes_from_the_source(folders: Mirror) -> None:
    """A file of the source that disappears before it is digested is named, and stays at the target until the next sync."""
    report = sync_with(folders, before_digest=lambda paths: folders.remove("b"))
    assert report.warnings == ("'b' went from the source during the sync; the next run deletes what is left.",)
    assert (report.files_updated, report.verified) == (1, None)
    assert folders.contents() == {"a": "new", "b": "same"}
    assert folders.sync().files_deleted == 1


def test_a_file_that_changes_at_the_source(folders: Mirror) -> None:
    """A file of the source that changes before it is digested is fetched in its new version."""
    report = sync_with(folders, before_digest=lambda paths: folders.put("b", "longer"))
    assert (report.files_updated, report.verified) == (2, "digest")
    folders.assert_equal()


def test_a_file_of_the_source_that_turns_unreadable(folders: Mirror) -> None:
    """A file that the source cannot digest fails the sync by name and reason; the rest is synced."""

    def lock(_: list[str]) -> None:
        path = Path(folders.source.location) / "b"
        path.unlink(missing_ok=True)
        os.mkfifo(path)

    with pytest.raises(SyncFailed, match="'b' of directory 'd' could not be synced; all others were"):
        sync_with(folders, before_digest=lock)
    assert folders.contents() == {"a": "new", "b": "same"}


def failing(monkeypatch: pytest.MonkeyPatch, errors: list[FileError]) -> list[FileError]:
    """Let the reads of "b" at the target fail with these errors, one after the other, and return those that are left."""
    digest = settle.digest_file

    def fail(opened: VersionedFile, location: str) -> bytes:
        if opened.entry.path == "b" and errors:
            raise errors.pop(0)
        return digest(opened, location)

    monkeypatch.setattr(settle, "digest_file", fail)
    return errors


@pytest.mark.parametrize(("times", "read"), [(2, 2), (3, 1)])
def test_a_file_of_the_target_that_changes(folders: Mirror, monkeypatch: pytest.MonkeyPatch, times: int, read: int) -> None:
    """A file that changes while it is digested is digested again, and fetched if it keeps changing."""
    left = failing(monkeypatch, [FileChangedError("changed") for _ in range(times)])
    report = folders.sync()
    assert (report.files_read, report.files_updated, left) == (read, 3 - read, [])
    folders.assert_equal()


def test_a_file_of_the_target_that_cannot_be_read(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the target that cannot be read is replaced."""
    error = FileError("Cannot read 'b'.")
    error.__cause__ = PermissionError(errno.EACCES, "denied")
    failing(monkeypatch, [error])
    report = folders.sync()
    assert (report.files_read, report.files_updated) == (1, 2)
    folders.assert_equal()


def test_a_broken_disk(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk error is not a difference of a file: it ends the sync before anything is written."""
    error = FileError("Cannot read 'b'. Check the disk.")
    error.__cause__ = OSError(errno.EIO, "broken")
    failing(monkeypatch, [error])
    before = folders.contents()
    with pytest.raises(SyncFailed, match="Check the disk"):
        folders.sync()
    assert folders.contents() == before
