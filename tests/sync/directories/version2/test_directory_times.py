"""Times of modification of directories."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.files.local import mounts as mounts_of
from airflow_provider_sync.files.local import writer
from airflow_provider_sync.files.local.metadata import set_on_file
from airflow_provider_sync.files.tree_writer import Metadata
from airflow_provider_sync.sync.directories.steps import compare_directory, delete_files, download_batch
from tests.sync.directories.mirror import Mirror, source, target_directory

TIMES = {"a": 10**18 + 5, "a/b": 10**18 + 3, "empty": 10**18 + 1}


@pytest.fixture
def folders(folders_of_version2: Mirror) -> Mirror:
    """Give directories with times of their own, one in the other and one that is empty."""
    folders_of_version2.put("a/b/x")
    folders_of_version2.put("a/y")
    (source(folders_of_version2) / "empty").mkdir()
    date(folders_of_version2)
    return folders_of_version2


def date(mirror: Mirror) -> None:
    """Give the source's directories their times."""
    for path, mtime_ns in TIMES.items():
        os.utime(source(mirror) / path, ns=(mtime_ns, mtime_ns))


def times(mirror: Mirror) -> dict[str, int]:
    """Return the times of the target's directories."""
    return {path: (Path(mirror.target.location) / path).stat().st_mtime_ns for path in TIMES}


@pytest.mark.parametrize("options", [{}, {"atomic": True}, {"backup": "a/kept"}], ids=["plain", "atomic", "backup"])
def test_directories_keep_their_times(folders: Mirror, options: dict[str, object]) -> None:
    """Directories have the source's times after their files were added, changed and deleted."""
    folders.sync(options)
    assert times(folders) == TIMES
    (source(folders) / "a/y").unlink()
    folders.put("a/b/x", "changed")
    folders.put("a/b/new")
    date(folders)
    report = folders.sync(options)
    assert (report.files_added, report.files_updated, report.files_deleted) == (1, 1, 1)
    assert times(folders) == TIMES


def test_steps(folders: Mirror) -> None:
    """The last step sets the times, even without deletes."""
    with folders.client() as client:
        given = client, target_directory(), folders.target
        delete_files(*given, [download_batch(*given, batch) for batch in compare_directory(*given, batches=2).batches])
    assert times(folders) == TIMES


def test_times_alone_are_no_change(folders: Mirror) -> None:
    """If only the time of a directory differs, nothing is reported; the next change sets it."""
    folders.sync()
    os.utime(source(folders) / "a", ns=(7, 7))
    assert folders.sync(dry_run=True).status == "unchanged"
    assert folders.sync().status == "unchanged"
    folders.put("new")
    folders.sync()
    assert times(folders) == TIMES | {"a": 7}


def test_without_times(folders: Mirror) -> None:
    """With ``mtime: false``, directories have the time at which they were written."""
    folders.sync({"mtime": False})
    assert not set(times(folders).values()) & set(TIMES.values())


def test_what_is_not_ours_keeps_its_time(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """If only the owner may set the time of a directory, the sync succeeds without it."""

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "no")

    monkeypatch.setattr(writer, "set_on_directory", refuse)
    assert folders.sync().status == "changed"
    assert folders.sync().status == "unchanged"


@pytest.mark.parametrize("checksum", ["cached", "never"])
def test_fat_is_unchanged(folders: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checksum: str) -> None:
    """A target on FAT, which keeps even seconds, is unchanged after a sync of files with odd seconds."""
    device = tmp_path.stat().st_dev
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 2 {os.major(device)}:{os.minor(device)} / / rw - vfat /dev/loop0 rw")
    monkeypatch.setattr(mounts_of, "MOUNTS", mounts)

    def as_fat(descriptor: int, metadata: Metadata, replaced: os.stat_result | None) -> None:
        mtime_ns = None if metadata.mtime_ns is None else metadata.mtime_ns // (2 * 10**9) * (2 * 10**9)
        set_on_file(descriptor, Metadata(mtime_ns, metadata.mode), replaced)

    monkeypatch.setattr(writer, "set_on_file", as_fat)
    for path in ("a/b/x", "a/y"):
        os.utime(source(folders) / path, ns=(0, 1_700_000_001_500_000_000))
    folders.sync({"checksum": checksum})
    assert (Path(folders.target.location) / "a/y").stat().st_mtime == 1_700_000_000
    folders.cache = None
    report = folders.sync({"checksum": checksum})
    assert (report.status, report.files_touched, report.bytes_written) == ("unchanged", 0, 0)
