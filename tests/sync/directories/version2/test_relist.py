"""Files that change, or go, between the listing and their download."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.files.local.reading import LocalOpener
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.sync.directories.version2 import large_files
from tests.sync.directories.mirror import Mirror, everything
from tests.sync.directories.version2.disturbed import sync_disturbed


@pytest.fixture
def folders(folders_of_version2: Mirror) -> Mirror:
    """Give two folders, by version 2."""
    return folders_of_version2


def test_a_file_that_changes_after_the_listing(folders: Mirror) -> None:
    """A file that changed between listing and download is requested again in its new version."""
    folders.put("a")
    folders.put("b", "old")
    actions = iter([lambda: folders.put("b", "newer")])
    report = sync_disturbed(folders, lambda: next(actions, lambda: None)())
    assert (report.files_added, report.verified) == (2, "digest")
    folders.assert_equal()


def test_a_file_that_never_stands_still(folders: Mirror) -> None:
    """A file that changes each time is named and not written; all others arrive, and surplus files are deleted."""
    folders.put("a")
    folders.put("log")
    folders.put_target("log", "old")
    folders.put_target("gone")
    lines = iter(range(1, 100))
    report = sync_disturbed(folders, lambda: folders.put("log", "line\n" * next(lines)))
    assert (report.files_added, report.files_deleted, report.verified) == (1, 1, None)
    assert "'log' changed at the source each of the 3 times" in report.warnings[0]
    assert folders.contents() == {"a": "content", "log": "old"}
    with pytest.raises(SyncFailed, match="changed each of the 3 times") as failure:
        sync_disturbed(folders, lambda: folders.put("log", "line\n" * next(lines)))
    assert failure.value.retryable


@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_changes_while_it_is_read(folders: Mirror, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """A file that changes whenever it is digested is named and not written; the rest is synced, including deletes."""
    if large:
        monkeypatch.setattr(large_files, "LARGE_BYTES", 10)
    folders.put("a")
    folders.put("log", "one line\nanother line\n")
    folders.put_target("log", "one line\nanother word\n")
    folders.put_target("gone")
    open_version = LocalOpener.__call__

    def open_growing(self: LocalOpener, path: str) -> VersionedFile:
        opened = open_version(self, path)
        return VersionedFile(opened.file, opened.entry, lambda: False) if path == "log" else opened

    with monkeypatch.context() as growing:
        growing.setattr(LocalOpener, "__call__", open_growing)
        report = folders.sync()
        assert (report.files_added, report.files_deleted, report.verified) == (1, 1, None)
        assert "'log' changed at the source each of the 3 times" in report.warnings[0]
        assert everything(Path(folders.target.location)) == ["a", "log"]
        with pytest.raises(SyncFailed, match="'log' of 'd' changed each of the 3 times") as failure:
            folders.sync()
        assert failure.value.retryable
    folders.sync()
    folders.assert_equal()


def test_a_file_that_vanishes(folders: Mirror) -> None:
    """A file that the source removes during the sync is named; the next sync deletes it."""
    folders.put("a")
    folders.put("b", "new")
    folders.put_target("b", "old")
    report = sync_disturbed(folders, lambda: folders.remove("b"))
    assert (report.files_added, report.verified) == (1, None)
    assert report.warnings == ("'b' went from the source during the sync; the next run deletes what is left.",)
    assert folders.contents() == {"a": "content", "b": "old"}
    assert folders.sync().files_deleted == 1


def test_a_file_that_grows_beyond_the_limits(folders: Mirror) -> None:
    """Files that grow after the listing cannot exceed the limits, and nothing is deleted."""
    for name in ("a", "b", "c"):
        folders.put(name, "small")
    folders.put_target("mine")
    actions = iter([lambda: [folders.put(name, "much larger") for name in ("a", "b", "c")]])
    for limits in (SizeLimits(max_directory_bytes=30), SizeLimits(max_file_bytes=10)):
        with pytest.raises(SyncFailed, match=r"limits\.max_") as failure:
            sync_disturbed(folders, lambda: next(actions, lambda: None)(), limits=limits)
        assert not failure.value.retryable
        assert folders.contents() == {"mine": "content"}
