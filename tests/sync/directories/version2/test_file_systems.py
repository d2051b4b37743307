"""Targets of which the file system keeps less than others, or lets a directory not go."""

from __future__ import annotations

import errno
import os

import pytest

from airflow_provider_sync.files.local import mounts as mounts_of
from airflow_provider_sync.sync import directory_differs, sync_directory
from tests.files.local.writing import FailingCall
from tests.sync.directories.mirror import Mirror, everything, source, target, target_directory


def test_a_mount_point_that_is_gone_at_the_source(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount point that the source lacks is emptied, but stays, with a warning in each report, and is no difference."""
    folders.put("a")
    for path in ("above/mounted/one", "above/mounted/deep/two", "above/beside/three"):
        folders.put_target(path)
    mounts = target(folders).parent / "mounts"
    mounts.write_text(f"1 2 0:9 / {target(folders)}/above/mounted rw - tmpfs none rw")
    monkeypatch.setattr(mounts_of, "MOUNTS", mounts)
    FailingCall("rmdir", errno.EBUSY, lambda name: name == "mounted", monkeypatch)
    with folders.client() as client, folders.opened_cache() as cache:
        report, again = (sync_directory(client, target_directory(), folders.target, cache=cache) for _ in range(2))
        assert (report.status, report.files_deleted) == ("changed", 3)
        assert everything(target(folders)) == ["a", "above", "above/mounted"]
        (warning,) = report.warnings
        assert warning.startswith("'above/mounted' is gone at the source, and was emptied and left")
        assert (again.status, again.warnings, again.requests) == ("unchanged", report.warnings, 1)
    planned = folders.sync(dry_run=True)
    assert planned.status == "unchanged"
    with folders.client() as client:
        assert not directory_differs(client, target_directory(), folders.target)


def test_a_file_system_without_permissions(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """On FAT, permissions are not synced, and each report says so instead of a change."""
    folders.put("d/a")
    (source(folders) / "d/a").chmod(0o600)
    device = target(folders).parent.stat().st_dev
    mounts = target(folders).parent / "mounts"
    mounts.write_text(f"1 2 {os.major(device)}:{os.minor(device)} / / rw - exfat /dev/loop0 rw")
    monkeypatch.setattr(mounts_of, "MOUNTS", mounts)
    first, again = folders.sync({"permissions": True}), folders.sync({"permissions": True})
    assert (first.status, again.status) == ("changed", "unchanged")
    assert first.warnings == again.warnings
    assert "keeps no permissions" in first.warnings[0]
    assert folders.sync().warnings == ()


def test_permissions_that_are_not_kept(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a file system accepts permissions without keeping them, the report warns, and they are no change."""
    folders.put("a")
    (source(folders) / "a").chmod(0o600)
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode: None)
    folders.sync()
    (target(folders) / "a").chmod(0o755)
    with folders.client() as client, folders.opened_cache() as cache:
        reports = [sync_directory(client, target_directory({"permissions": True}), folders.target, cache=cache) for _ in range(2)]
    assert [(report.status, report.files_touched) for report in reports] == [("unchanged", 0)] * 2
    assert [report.requests for report in reports][1] == 1
    assert reports[0].warnings == reports[1].warnings
    assert "'a' did not get the permissions of the source" in reports[0].warnings[0]
