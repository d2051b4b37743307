"""Files that the source has under several names: their content comes once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.files.local import entries
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.sync.directories.steps import compare_directory, delete_files, download_batch
from airflow_provider_sync.sync.directories.version2 import large_files
from tests.sync.directories.disturbed import sync_with
from tests.sync.directories.mirror import Mirror, target_directory

SIZE = 300_000
NAMES = ("a/first", "a/second", "b", "c/deep/last")


@pytest.fixture
def folders(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give one file of random content under four names, and a file of its own, on a disk on which no file is racy."""
    monkeypatch.setattr(entries, "_FINE_NS", 0)
    folders_of_version2.put("a/own", "own")
    link(folders_of_version2, os.urandom(SIZE // 2).hex(), *NAMES)
    return folders_of_version2


def link(mirror: Mirror, content: str, first: str, *others: str) -> None:
    """Write a file of the source and give it other names."""
    mirror.put(first, content)
    root = Path(mirror.source.location)
    for other in others:
        (root / other).parent.mkdir(parents=True, exist_ok=True)
        (root / other).unlink(missing_ok=True)
        (root / other).hardlink_to(root / first)


@pytest.mark.parametrize("large", [False, True], ids=["small", "large"])
@pytest.mark.parametrize("options", [{}, {"atomic": True}, {"durable": False}], ids=["plain", "atomic", "not durable"])
def test_content_comes_once(folders: Mirror, options: dict[str, object], large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The content of four names of one file is fetched once, and the target gets four files."""
    if large:
        monkeypatch.setattr(large_files, "LARGE_BYTES", SIZE // 2)
    report = folders.sync(options)
    assert (report.files_added, report.files_moved, report.verified) == (5, 3, "digest")
    assert report.bytes_written == SIZE + 3
    assert SIZE // 2 < report.bytes_received < 1.2 * SIZE
    folders.assert_equal()
    root = Path(folders.target.location)
    assert {(root / name).stat().st_nlink for name in NAMES} == {1}
    assert folders.sync(options).status == "unchanged"


def test_a_change_comes_once(folders: Mirror) -> None:
    """New content of a file with several names replaces all of them, and is fetched once."""
    folders.sync()
    with (Path(folders.source.location) / "b").open("r+") as file:
        file.write("changed")
    report = folders.sync()
    assert (report.files_updated, report.files_moved, report.bytes_written) == (4, 3, SIZE)
    folders.assert_equal()


def test_another_name_of_an_unchanged_file(folders: Mirror) -> None:
    """A new name of a file that the target has is copied there."""
    folders.sync()
    folders.sync({"checksum": "always"})
    (Path(folders.source.location) / "new").hardlink_to(Path(folders.source.location) / "b")
    (Path(folders.source.location) / "newer").hardlink_to(Path(folders.source.location) / "b")
    report = folders.sync()
    assert (report.files_added, report.files_moved, report.bytes_written) == (2, 2, 0)
    folders.assert_equal()


def test_the_first_name_may_be_excluded(folders: Mirror) -> None:
    """If the first name is excluded, the content of another name is fetched."""
    report = folders.sync({"exclude": ["a/"]})
    assert (report.files_added, report.files_moved, report.bytes_written) == (2, 1, SIZE)


def test_what_cannot_be_copied_is_fetched(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the target cannot copy, each name is fetched."""

    def fail(*_: object, **__: object) -> None:
        raise FileError("no") from FileNotFoundError(2, "no")

    monkeypatch.setattr(LocalTreeWriter, "copy", fail)
    report = folders.sync()
    assert (report.files_added, report.files_moved) == (5, 0)
    folders.assert_equal()


def test_a_first_name_that_goes_meanwhile(folders: Mirror) -> None:
    """If the name to fetch has disappeared, another one is fetched."""
    gone = [Path(folders.source.location) / "a/first"]

    def remove(_: list[str]) -> None:
        while gone:
            gone.pop().unlink()

    report = sync_with(folders, before_read=remove)
    assert report.warnings[0].startswith("'a/first' went from the source")
    folders.assert_equal()


def test_steps(folders: Mirror) -> None:
    """A batch fetches the content once, too."""
    with folders.client() as client:
        given = client, target_directory(), folders.target
        batches = [download_batch(*given, batch) for batch in compare_directory(*given, batches=1).batches]
        report = delete_files(*given, batches)
    assert (report.files_added, report.files_moved, report.bytes_written) == (5, 3, SIZE + 3)
    folders.assert_equal()


def test_object_storage_copies_inside_the_store(mirror_of_s3: Mirror) -> None:
    """An object store gets the content once, and copies the other objects."""
    link(mirror_of_s3, "content" * 1_000, *NAMES)
    report = mirror_of_s3.sync()
    assert (report.files_added, report.files_moved, report.bytes_written) == (4, 3, 7_000)
    mirror_of_s3.assert_equal()
    assert mirror_of_s3.sync().status == "unchanged"


@pytest.fixture
def mirror_of_s3(s3: S3FileSystem, tmp_path: Path) -> Mirror:
    """Give a local source and a target in an object store."""
    bucket = f"sync-{secrets.token_hex(4)}"
    s3.mkdir(bucket)
    storages = open_storage(str(tmp_path / "source")), open_storage(f"s3://{bucket}/target", s3)
    return Mirror(*storages, cache=tmp_path / "cache.db")


@pytest.mark.parametrize(("atomic", "steps"), [(False, False), (False, True), (True, False)], ids=["one go", "steps", "atomic"])
def test_names_of_one_file_at_the_target(folders_of_version2: Mirror, tmp_path: Path, atomic: bool, steps: bool) -> None:
    """Each target name of a shared file gets its own time and permissions; names outside the target stay unchanged."""
    folders = folders_of_version2
    options = {"permissions": True, "atomic": atomic}
    for name in ("a", "b", "moved/c"):
        folders.put(name, "equal")
    root, copy = Path(folders.source.location), Path(folders.target.location)
    (root / "a").chmod(0o600)
    os.utime(root / "a", ns=(0, 1_000_000_000_000_000_000))
    (root / "b").chmod(0o640)
    os.utime(root / "b", ns=(0, 1_100_000_000_000_000_000))
    os.utime(root / "moved/c", ns=(0, 1_200_000_000_000_000_000))
    folders.put_target("a", "equal")
    snapshot = tmp_path / "snapshot"
    for name in (copy / "b", copy / "old", snapshot):
        name.hardlink_to(copy / "a")
    os.utime(snapshot, ns=(0, 900_000_000_000_000_000))
    snapshot.chmod(0o644)
    if steps:
        with folders.client() as client:
            given = client, target_directory(options), folders.target
            delete_files(*given, [download_batch(*given, batch) for batch in compare_directory(*given, batches=2).batches])
    else:
        folders.sync(options)
    folders.assert_equal()
    for name in ("a", "b", "moved/c"):
        ours, theirs = (copy / name).stat(), (root / name).stat()
        assert (ours.st_mtime_ns, ours.st_mode, ours.st_nlink) == (theirs.st_mtime_ns, theirs.st_mode, 1)
    assert (snapshot.stat().st_mtime_ns, snapshot.stat().st_mode & 0o777) == (900_000_000_000_000_000, 0o644)
    assert folders.sync(options).status == "unchanged"
