"""Directories that are empty at the target and gone from the source, where they are all that is left to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.local import entries as local_entries
from airflow_provider_sync.sync import directory_differs, sync_directory
from airflow_provider_sync.sync.directories.diff import diff_directory
from airflow_provider_sync.sync.directories.steps import compare_directory, delete_files, download_batch
from tests.sync.directories.mirror import Mirror, everything, target_directory

Look = Callable[[SyncClient, Mirror, DigestCache], object]

LOOKS: dict[str, Look] = {
    "dry run": lambda client, folders, cache: sync_directory(
        client, target_directory(), folders.target, dry_run=True, cache=cache
    ),
    "sensor": lambda client, folders, cache: directory_differs(client, target_directory(), folders.target, cache=cache),
    "diff": lambda client, folders, cache: diff_directory(client, target_directory(), folders.target, cache=cache),
}


@pytest.fixture
def folders(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give two equal folders, but for an empty directory at the target, on a disk on which no file is racy."""
    monkeypatch.setattr(local_entries, "_FINE_NS", 0)
    folders_of_version2.put("x")
    folders_of_version2.sync()
    (Path(folders_of_version2.target.location) / "old/deep").mkdir(parents=True)
    return folders_of_version2


def test_steps_remove_them(folders: Mirror) -> None:
    """The steps remove directories that the source lacks and that are empty, as one task does, and then find no difference."""
    with folders.client() as client:
        given = client, target_directory(), folders.target
        compared = compare_directory(*given, batches=2)
        report = delete_files(*given, [download_batch(*given, batch) for batch in compared.batches])
        assert (report.status, report.files_deleted) == ("changed", 0)
        assert everything(Path(folders.target.location)) == ["x"]
        assert not compare_directory(*given, batches=2).batches


@pytest.mark.parametrize("look", LOOKS)
def test_looking_does_not_settle_them(folders: Mirror, look: str) -> None:
    """A comparison leaves such directories to the next sync, also if both sides have a state to remember."""
    with folders.client() as client, folders.opened_cache() as cache:
        LOOKS[look](client, folders, cache)
        assert everything(Path(folders.target.location)) == ["old", "old/deep", "x"]
        assert sync_directory(client, target_directory(), folders.target, cache=cache).status == "changed"
    assert everything(Path(folders.target.location)) == ["x"]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_with_patterns(folders: Mirror, steps: bool) -> None:
    """With ``include``, a directory is removed only if the removal of its files has emptied it."""
    for path in ("gone/deep/a.png", "kept/b.png", "both/c.png"):
        folders.put_target(path)
    (Path(folders.target.location) / "kept/mine").write_text("mine")
    folders.put("both/d.png")
    options = {"include": ["**/*.png"], "max_deletes": 3}
    with folders.client() as client:
        given = client, target_directory(options), folders.target
        if steps:
            done = [download_batch(*given, batch) for batch in compare_directory(*given, batches=2).batches]
            report = delete_files(*given, done)
        else:
            report = sync_directory(*given)
    assert (report.files_added, report.files_deleted) == (1, 3)
    assert everything(Path(folders.target.location)) == ["both", "both/d.png", "kept", "kept/mine", "old", "old/deep", "x"]


@pytest.mark.parametrize("checksum", ["cached", "always"])
@pytest.mark.parametrize("pattern", ["left/**", "left/", "**/left/", "**/left/**"])
def test_of_which_everything_is_excluded(folders: Mirror, pattern: str, checksum: str) -> None:
    """A directory with only excluded content is ignored on both sides, and is not a difference."""
    folders.put("left/file")
    folders.put("deep/left/file")
    options = {"exclude": [pattern], "checksum": checksum}
    folders.sync(options)
    with folders.client() as client, DigestCache(None) as cache:
        directory = target_directory(options)
        assert not directory_differs(client, directory, folders.target, cache=cache)
        assert diff_directory(client, directory, folders.target, cache=cache).changes == ()
        assert sync_directory(client, directory, folders.target, cache=cache).status == "unchanged"
    nested = [] if pattern.startswith("**") else ["deep/left", "deep/left/file"]
    assert everything(Path(folders.target.location)) == ["deep", *nested, "x"]


def test_looking_tells_of_them(folders: Mirror) -> None:
    """A dry run plans to remove such directories, the sensor finds a difference, and ``diff`` names them sorted by path."""
    for path in ("kept/mine", "whole/below/file", "whole/file"):
        folders.put_target(path)
    options = {"exclude": ["**/mine"], "max_deletes": 2}
    with folders.client() as client:
        given = client, target_directory(options), folders.target
        assert sync_directory(*given, dry_run=True).status == "planned"
        assert compare_directory(*given).report.status == "planned"
        assert directory_differs(*given)
        found = diff_directory(*given)
        assert [(each.path, each.change, each.kind, each.reason) for each in found.changes] == [
            ("old", "delete", "directory", "gone"),
            ("old/deep", "delete", "directory", "gone"),
            ("whole", "delete", "directory", "gone"),
            ("whole/below", "delete", "directory", "gone"),
            ("whole/below/file", "delete", "file", "gone"),
            ("whole/file", "delete", "file", "gone"),
        ]
        assert sync_directory(*given).status == "changed"
        assert everything(Path(folders.target.location)) == ["kept", "kept/mine", "x"]
        assert sync_directory(*given, dry_run=True).status == "unchanged"
        assert not directory_differs(*given)
        assert diff_directory(*given).changes == ()


def test_what_no_listing_tells_of_keeps_a_directory(folders: Mirror) -> None:
    """A directory with an ignored link stays, also in a dry run."""
    (Path(folders.target.location) / "old/deep/link").symlink_to("nowhere")
    with folders.client() as client:
        given = client, target_directory(), folders.target
        assert sync_directory(*given, dry_run=True).status == "unchanged"
        assert sync_directory(*given).status == "unchanged"
    assert everything(Path(folders.target.location)) == ["old", "old/deep", "old/deep/link", "x"]
