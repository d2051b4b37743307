"""Commits beside downloads: what waits for the disk, and what an error of the disk ends."""

from __future__ import annotations

import errno
from itertools import chain
from threading import Event

import pytest

from airflow_provider_sync.exceptions import FileError, SyncFailed
from airflow_provider_sync.files.local import writer
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.sync.directories.version2 import fetch, large_files
from airflow_provider_sync.sync.directories.version2.commits_behind import MAX_WAITING, CommitsBehind
from tests.sync.directories.disturbed import sync_with
from tests.sync.directories.mirror import Mirror

LARGE = 1_500_000


def test_downloads_do_not_wait_for_the_disk() -> None:
    """While one commit waits for the disk, more batches are completed; at the end all are committed."""
    complete: list[int] = []
    committed: list[list[int]] = []
    disk = Event()

    def commit() -> None:
        taken = complete[:]
        complete.clear()
        assert disk.wait(30)
        committed.append(taken)

    with CommitsBehind(commit) as behind:
        for batch in range(MAX_WAITING):
            complete.append(batch)
            behind.add()
        assert committed == []
        disk.set()
    assert list(chain(*committed)) == list(range(MAX_WAITING))


def test_an_error_is_not_lost() -> None:
    """The error of a commit is raised at the next batch above the limit, or at the end."""

    def commit() -> None:
        raise FileError("The disk is full.")

    with pytest.raises(FileError, match="full"), CommitsBehind(commit) as behind:
        behind.add()
    later = CommitsBehind(commit)
    for _ in range(MAX_WAITING):
        later.add()
    with pytest.raises(FileError, match="full"):
        later.add()
    with pytest.raises(FileError, match="full"), later:
        pass


@pytest.mark.parametrize("size", [7, LARGE])
def test_a_disk_that_is_full_at_a_commit(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A failing commit ends the downloads, its error is reported, and no file gets its name."""
    mirror = folders_of_version2
    for name in "abc":
        mirror.put(name, "x" * (size if name == "c" else 7))
    monkeypatch.setattr(large_files, "LARGE_BYTES", LARGE - 1)
    monkeypatch.setattr(fetch, "BATCH_FILES", 1)
    failed = Event()

    def full(self: writer.LocalTreeWriter) -> list[TreeEntry]:
        failed.set()
        raise FileError("Cannot write: the disk is full.") from OSError(errno.ENOSPC, "full")

    def wait_for_failure(path: str) -> None:
        if path == "c":
            assert failed.wait(30)

    monkeypatch.setattr(writer.LocalTreeWriter, "commit", full)
    with pytest.raises(SyncFailed, match="the disk is full"):
        sync_with(mirror, on_message=wait_for_failure)
    assert mirror.contents() == {}
