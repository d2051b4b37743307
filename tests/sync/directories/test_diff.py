"""What a sync of a directory would change, path by path."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.sync.directories.diff import DirectoryDiff, FileChange, diff_directory
from tests.sync.directories.mirror import Mirror, target_directory


def diff(mirror: Mirror, **arguments: int) -> DirectoryDiff:
    """Compare both sides."""
    with mirror.client() as client:
        return diff_directory(client, target_directory({"links": "keep"}), mirror.target, **arguments)


def change(path: str, change: str, reason: str, source: int | None, target: int | None, kind: str = "file") -> FileChange:
    """Return a change."""
    return FileChange(path=path, change=change, kind=kind, reason=reason, source_size=source, target_size=target)  # type: ignore[arg-type]


def test_every_difference_has_a_reason(folders_of_version2: Mirror) -> None:
    """New, larger, changed, older and missing files, links and directories have both sizes and the reason."""
    folders = folders_of_version2
    for path, source, target in (("grew", "longer", "x"), ("other", "one", "two"), ("same", "x", "x"), ("touched", "x", "x")):
        folders.put(path, source)
        folders.put_target(path, target)
        os.utime(Path(folders.source.location) / path, (9, 9))
        os.utime(Path(folders.target.location) / path, (9, 8 if path == "touched" else 9))
    folders.put("new", "1234")
    folders.put_target("gone", "12")
    (Path(folders.source.location) / "dir").mkdir()
    (Path(folders.source.location) / "link").symlink_to("new")
    before = folders.contents()
    found = diff(folders)
    assert found.changes == (
        change("dir", "add", "new", None, None, "directory"),
        change("gone", "delete", "gone", None, 2),
        change("grew", "update", "size", 6, 1),
        change("link", "add", "new", None, None, "link"),
        change("new", "add", "new", 4, None),
        change("other", "update", "content", 3, 3),
        change("touched", "set metadata", "time", 1, 1),
    )
    report = found.report
    assert (report.status, report.files_added, report.files_updated, report.files_deleted) == ("planned", 2, 2, 1)
    few = diff(folders, max_paths=2)
    assert (few.changes, few.paths_omitted, found.paths_omitted) == (found.changes[:2], 5, 0)
    assert folders.contents() == before


def test_a_link_that_leads_elsewhere_is_updated(folders_of_version2: Mirror) -> None:
    """A changed link that both sides have is an update, and not an addition."""
    folders = folders_of_version2
    folders.put("a")
    folders.sync()
    (Path(folders.source.location) / "link").symlink_to("a")
    (Path(folders.target.location) / "link").symlink_to("b")
    assert diff(folders).changes == (change("link", "update", "content", None, None, "link"),)


def test_version1_counts(folders_of_version1: Mirror) -> None:
    """With version 1, differences are only counted, and all paths are omitted."""
    folders_of_version1.put("a")
    found = diff(folders_of_version1)
    assert (found.report.files_added, found.changes, found.paths_omitted) == (1, (), 1)


def test_guards_do_not_stop_it(folders: Mirror) -> None:
    """Deletes that a guard would stop are shown, by either version, and nothing is deleted."""
    folders.put("a")
    folders.remove("a")
    folders.put_target("precious")
    before = folders.contents()
    found = diff(folders)
    assert (found.report.status, found.report.files_deleted) == ("planned", 1)
    assert folders.contents() == before
    with pytest.raises(SyncFailed, match="allow_empty_source"):
        folders.sync()
