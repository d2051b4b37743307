"""Writes that meet what the comparison did not see: files that change, go or turn unreadable, and obstacles at the target."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from airflow_provider_sync.client.file_streams import FileDigestsAnswer, ListingAnswer
from airflow_provider_sync.exceptions import SyncFailed
from airflow_provider_sync.protocol.v2.file_messages import FileDigest, FileEntry
from airflow_provider_sync.sync.directories.version2 import large_files
from tests.sync.directories.disturbed import sync_with
from tests.sync.directories.mirror import Mirror


@pytest.fixture
def folders(folders_of_version2: Mirror) -> Mirror:
    """Give two files at the source, and one at the target that the source lacks."""
    folders_of_version2.put("a", "old")
    folders_of_version2.put("b", "old")
    folders_of_version2.put_target("z")
    return folders_of_version2


def once(action: Callable[[], object]) -> Callable[[list[str]], None]:
    """Return what acts at the first call only."""
    actions = [action]

    def act(_: list[str]) -> None:
        while actions:
            actions.pop()()

    return act


def changing(mirror: Mirror, path: str) -> Callable[[list[str]], None]:
    """Return what changes a file of the source at each call."""
    numbers = count(1)
    return lambda paths: mirror.put(path, "x" * next(numbers)) if path in paths else None


@pytest.mark.parametrize("large", [False, True])
def test_a_file_that_changed_since_the_comparison(folders: Mirror, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:
    """A file that differs from its listing is requested again in its current version."""
    if large:
        monkeypatch.setattr(large_files, "LARGE_BYTES", 2)
    report = sync_with(folders, before_read=once(lambda: folders.put("a", "newer")))
    assert (report.files_added, report.files_deleted, report.verified, report.warnings) == (2, 1, "digest", ())
    folders.assert_equal()


def test_a_file_that_never_stands_still(folders: Mirror) -> None:
    """A file that changes before each download is left to the next sync with a warning; the rest is synced."""
    report = sync_with(folders, before_read=changing(folders, "a"))
    assert report.warnings[0].startswith("'a' changed at the source each of the 3 times")
    assert (report.verified, folders.contents()) == (None, {"b": "old"})
    folders.sync()
    folders.assert_equal()


def test_a_changed_file_of_a_source_without_digests(folders: Mirror) -> None:
    """A source without digests lists a changed file once more, so its current version arrives."""
    folders.offered = {"hasher": "none"}
    report = sync_with(folders, before_read=once(lambda: folders.put("a", "newer")))
    assert (report.files_added, report.files_deleted, report.verified) == (2, 1, "digest")
    folders.assert_equal()


@pytest.mark.parametrize(
    ("unreadable", "message"),
    [
        ({}, "went from the source during the sync"),
        ({"d/a": "It is locked."}, "could not be synced.*It is locked"),
        ({"d/": "It is closed."}, "could not be synced.*It is closed"),
    ],
)
def test_a_changed_file_that_is_not_listed_again(
    folders: Mirror, monkeypatch: pytest.MonkeyPatch, unreadable: dict[str, str], message: str
) -> None:
    """For a changed file that is not listed again, the error says whether it is gone or unreadable."""
    folders.offered = {"hasher": "none"}
    folders.put("d/a")

    def change() -> None:
        folders.put("d/a", "newer")
        entries = ListingAnswer.__iter__

        def without(self: ListingAnswer) -> Iterator[tuple[FileEntry, ...]]:
            for found in entries(self):
                yield tuple(entry for entry in found if entry.path != "d/a")
            self.unreadable.update(unreadable)

        monkeypatch.setattr(ListingAnswer, "__iter__", without)

    report = sync_with(folders, {"skip_unreadable": True}, before_read=once(change))
    assert any("'d/a'" in warning and re.search(message, warning) for warning in report.warnings)
    assert folders.contents() == {"a": "old", "b": "old"}


def test_a_changed_file_that_goes(folders: Mirror) -> None:
    """A file that changes and then disappears is named, and the rest is synced."""
    report = sync_with(
        folders,
        before_read=once(lambda: folders.put("a", "newer")),
        before_digest=once(lambda: folders.remove("a")),
    )
    assert report.warnings == ("'a' went from the source during the sync; the next run deletes what is left.",)
    assert (report.verified, folders.contents()) == (None, {"b": "old"})


def test_a_changed_file_that_cannot_be_read_any_more(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that changes and becomes unreadable is skipped or fails the sync, with the server's reason made printable."""

    def locked(_: FileDigestsAnswer) -> Iterator[tuple[str, FileDigest]]:
        yield "a", FileDigest(None, problem="It is \x1b[31mlocked.")

    monkeypatch.setattr(FileDigestsAnswer, "__iter__", locked)
    report = sync_with(folders, {"skip_unreadable": True}, before_read=once(lambda: folders.put("a", "newer")))
    (warning,) = report.warnings
    assert warning.startswith("'a' could not be synced and was skipped. It is")
    assert "\x1b" not in warning
    assert folders.contents() == {"b": "old"}


@pytest.mark.parametrize("kind", ["link", "large file", "file"])
def test_something_in_the_way(folders: Mirror, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """If a folder that must stay is in the way of a link or file, that one is named, and the rest is synced."""
    folders.put_target("n/mine")
    if kind == "link":
        (Path(folders.source.location) / "n").symlink_to("a")
    else:
        folders.put("n", "content")
    if kind == "large file":
        monkeypatch.setattr(large_files, "LARGE_BYTES", 5)
    options: dict[str, object] = {"links": "keep", "exclude": ["n/mine"]}
    with pytest.raises(SyncFailed, match="'n' of directory 'd' could not be synced; all others were"):
        folders.sync(options)
    assert folders.contents() == {"a": "old", "b": "old", "n/mine": "content", "z": "content"}


def test_a_file_that_goes_before_its_time_is_set(folders: Mirror) -> None:
    """A target's file that is removed before its time is set is named; the next sync brings it."""
    folders.sync()
    os.utime(Path(folders.source.location) / "a", (9, 9))
    folders.put("c")
    with pytest.raises(SyncFailed, match="'a' of directory 'd' could not be synced; all others were"):
        sync_with(folders, before_read=once(lambda: folders.remove_target("a")))
    assert folders.sync().files_added == 1
    folders.assert_equal()


def test_what_is_removed_meanwhile(folders: Mirror) -> None:
    """A file or directory that another program removes before the sync does is not an error."""
    (Path(folders.target.location) / "y/deep").mkdir(parents=True)

    def remove() -> None:
        folders.remove_target("z")
        (Path(folders.target.location) / "y/deep").rmdir()
        (Path(folders.target.location) / "y").rmdir()

    report = sync_with(folders, before_read=once(remove))
    assert (report.files_added, report.warnings) == (2, ())
    folders.assert_equal()
    assert not (Path(folders.target.location) / "y").exists()


def test_a_directory_that_somebody_fills_meanwhile(folders: Mirror) -> None:
    """A surplus directory with new files stays; the next sync deletes it."""
    (Path(folders.target.location) / "y").mkdir(parents=True)
    report = sync_with(folders, before_read=once(lambda: folders.put_target("y/new")))
    assert (report.files_deleted, report.warnings) == (1, ())
    assert sorted(folders.contents()) == ["a", "b", "y/new"]
    assert folders.sync().files_deleted == 1
    folders.assert_equal()
