"""Directories from a server into a storage: what arrives, what is reported, and what is left alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, GuardError, SyncFailed
from airflow_provider_sync.sync import directory_differs
from tests.sync.directories.mirror import Mirror, target_directory

PATHS = ("a.txt", "deep/er/b.txt", "Ärger/東京 😀.txt", ".hidden", ".config/.x", "empty", "a b/'quotes\" & 100%.txt", "0")


def test_everything_arrives_changes_and_arrives_again(mirror: Mirror) -> None:
    """Between all storages, a directory arrives completely, then its changes, and then nothing."""
    for path in PATHS:
        mirror.put(path, "" if path == "empty" else f"content of {path}")
    first = mirror.sync()
    assert (first.status, first.files_added, first.files_total, first.verified) == (
        "changed",
        len(PATHS),
        len(PATHS),
        mirror.verified,
    )
    mirror.assert_equal()

    mirror.put("a.txt", "another")
    mirror.put("new/file", "new")
    mirror.remove(".hidden")
    second = mirror.sync()
    assert (second.files_added, second.files_updated, second.files_deleted, second.bytes_written) == (1, 1, 1, 10)
    mirror.assert_equal()

    third = mirror.sync()
    assert (third.status, third.files_total, third.bytes_written) == ("unchanged", len(PATHS), 0)
    # What was written in this moment may have to be digested again.
    assert third.requests in ((1,) if mirror.version == 1 else (2, 3))
    mirror.assert_equal()


@pytest.mark.parametrize("seconds", [0, 1, -1, 9_500_000_000], ids=["zero", "one", "before 1970", "after 2262"])
def test_files_of_any_time_arrive(folders: Mirror, seconds: int) -> None:
    """A file arrives with any time of modification, such as the first moment of 1970."""
    folders.put("a.txt", "content")
    os.utime(Path(folders.source.location) / "a.txt", (seconds, seconds))
    assert folders.sync().files_added == 1
    folders.assert_equal()
    assert folders.sync().status == "unchanged"


def test_the_first_moment_of_1970_is_kept(folders_of_version2: Mirror) -> None:
    """With ``mtime``, a file of the first moment of 1970 has exactly that time at the target."""
    folders_of_version2.put("a.txt", "content")
    os.utime(Path(folders_of_version2.source.location) / "a.txt", (0, 0))
    assert folders_of_version2.sync({"mtime": True}).files_added == 1
    assert (Path(folders_of_version2.target.location) / "a.txt").stat().st_mtime_ns == 0
    assert folders_of_version2.sync({"mtime": True}).status == "unchanged"


def test_a_file_and_a_directory_change_places(folders: Mirror) -> None:
    """A file in place of a directory, and the reverse, arrive as at the source."""
    folders.put_target("a", "file")
    folders.put_target("b/c/d", "file below a directory")
    folders.put("a/x", "below")
    folders.put("b", "a file now")
    report = folders.sync()
    assert (report.files_added, report.files_deleted) == (2, 2)
    folders.assert_equal()


def test_an_empty_source_and_an_empty_target_are_equal(mirror: Mirror) -> None:
    """Two empty directories are unchanged, even if the target's was never created."""
    mirror.put("x")
    mirror.remove("x")
    assert mirror.sync().status == "unchanged"


def test_patterns_hold_on_both_sides(mirror: Mirror) -> None:
    """Files outside the target's patterns are not downloaded or deleted; files outside the server's do not exist."""
    mirror.offered = {"exclude": ["secret/**"]}
    for path in ("a.png", "b.txt", "tmp/c.png", "secret/d.png"):
        mirror.put(path)
    mirror.put_target("mine.txt")
    mirror.put_target("tmp/mine.png")
    mirror.put_target("gone.png")
    report = mirror.sync({"include": ["**/*.png"], "exclude": ["tmp/**"]})
    assert (report.files_total, report.files_added, report.files_deleted) == (1, 1, 1)
    assert sorted(mirror.contents()) == ["a.png", "mine.txt", "tmp/mine.png"]


def test_patterns_that_select_nothing(mirror: Mirror) -> None:
    """Patterns that select no file of the source give a warning each time."""
    mirror.put("deep/a.png")
    for _ in range(2):
        report = mirror.sync({"include": ["*.png"]})
        assert (report.status, report.files_total) == ("unchanged", 0)
        assert any("select none of the source's files" in warning for warning in report.warnings), report.warnings
    assert mirror.sync({"include": ["**/*.png"]}).warnings == ()


def test_a_prefix_is_a_root_of_its_own(mirror: Mirror) -> None:
    """Only files below the prefix are synced, into the target's root; patterns apply to the remaining paths."""
    for path in ("2026/01/a.txt", "2026/01/deep/b.txt", "2026/01/c.log", "2026/011/d.txt", "2026/02/e.txt", "f.txt"):
        mirror.put(path, f"content of {path}")
    mirror.put_target("gone.txt")
    options = {"prefix": "/2026/01/", "include": ["**/*.txt"]}
    report = mirror.sync(options)
    assert (report.files_total, report.files_added, report.files_deleted, report.verified) == (2, 2, 1, mirror.verified)
    assert mirror.contents() == {"a.txt": "content of 2026/01/a.txt", "deep/b.txt": "content of 2026/01/deep/b.txt"}
    assert mirror.sync(options).status == "unchanged"


def test_a_prefix_without_files_is_an_empty_source(mirror: Mirror) -> None:
    """A prefix without files does not empty the target unless that is allowed."""
    mirror.put("2026/a.txt")
    mirror.put_target("a.txt", "precious")
    with pytest.raises(SyncFailed, match="allow_empty_source"):
        mirror.sync({"prefix": "2027"})
    assert mirror.contents() == {"a.txt": "precious"}


@pytest.mark.parametrize("prefix", ["..", "a/../b", "a//b", "./a", "/"])
def test_a_prefix_is_a_folder(prefix: str) -> None:
    """A prefix that names no folder is refused with an example."""
    with pytest.raises(ConfigurationError, match="Give a folder of the source"):
        target_directory({"prefix": prefix})


def test_what_the_source_lacks_may_be_kept(folders: Mirror) -> None:
    """With ``delete: false``, surplus files stay and are no difference, also for an empty source."""
    keep = {"delete": False}
    folders.put("new")
    for path in ("mine", "folder/mine"):
        folders.put_target(path)
    report = folders.sync(keep)
    assert (report.files_added, report.files_deleted) == (1, 0)
    assert sorted(folders.contents()) == ["folder/mine", "mine", "new"]
    assert folders.sync(keep).status == "unchanged"
    with folders.client() as client:
        assert not directory_differs(client, target_directory(keep), folders.target)
    folders.remove("new")
    assert folders.sync(keep).status == "unchanged"
    assert sorted(folders.contents()) == ["folder/mine", "mine", "new"]


def test_a_file_in_the_way_may_be_kept(folders: Mirror) -> None:
    """With ``delete: false``, a file in place of a directory stays, and the error names what could not be written."""
    folders.put("a/x")
    folders.put_target("a", "mine")
    with pytest.raises(SyncFailed, match="'a/x'"):
        folders.sync({"delete": False})
    assert folders.contents() == {"a": "mine"}


def test_an_empty_source_needs_permission(mirror: Mirror) -> None:
    """An empty source empties the target only if that is allowed."""
    mirror.put("x")
    mirror.remove("x")
    mirror.put_target("precious")
    with pytest.raises(SyncFailed, match="allow_empty_source") as failure:
        mirror.sync()
    assert not failure.value.retryable
    assert isinstance(failure.value.__cause__, GuardError)
    assert mirror.contents() == {"precious": "content"}
    assert mirror.sync({"allow_empty_source": True}).files_deleted == 1
    assert mirror.contents() == {}


def test_too_many_deletes_need_permission(folders: Mirror) -> None:
    """A sync that would delete more than half of the files, and more than 100, stops before it downloads anything."""
    folders.put("new")
    for number in range(101):
        folders.put_target(f"old/{number}")
    with pytest.raises(SyncFailed, match="would delete 101 of 101 files; max_deletes is 50%"):
        folders.sync()
    assert len(folders.contents()) == 101
    assert "new" not in folders.contents()
    with pytest.raises(SyncFailed, match="max_deletes is 100"):
        folders.sync({"max_deletes": 100})
    assert folders.sync({"max_deletes": 101}).files_deleted == 101


def test_a_missing_source_is_no_empty_one(folders: Mirror) -> None:
    """A missing source is an error and deletes nothing, with any options."""
    folders.put_target("precious")
    with pytest.raises(SyncFailed):
        folders.sync({"allow_empty_source": True, "max_deletes": "100%"})
    assert folders.contents() == {"precious": "content"}


def test_a_dry_run_writes_nothing(mirror: Mirror) -> None:
    """A dry run reports what a run would do, and leaves the target as it was."""
    mirror.put("same")
    mirror.put("changed", "new")
    mirror.put("added")
    mirror.put_target("same")
    mirror.put_target("changed", "old")
    mirror.put_target("removed")
    before = mirror.contents()
    report = mirror.sync(dry_run=True)
    assert (report.status, report.files_added, report.files_updated, report.files_deleted) == ("planned", 1, 1, 1)
    assert (report.bytes_written, report.verified) == (0, None)
    assert report.requests in ((1,) if mirror.version == 1 else (2, 3))
    assert mirror.contents() == before


def test_differences_cost_one_request(mirror: Mirror) -> None:
    """Whether a directory differs is decided by the manifests."""
    mirror.put("x")
    with mirror.client() as client:
        assert directory_differs(client, target_directory(), mirror.target)
        assert directory_differs(client, target_directory({"exclude": ["x"]}), mirror.target) is False
        assert client.traffic.requests == 1 + mirror.version
    assert mirror.contents() == {}


def test_without_digests_every_file_counts_as_changed(folders_of_version1: Mirror) -> None:
    """Without digests, everything is synced each time, and the report says so and claims no verification."""
    folders_of_version1.put("x")
    folders_of_version1.offered = {"hasher": "none"}
    folders_of_version1.sync()
    again = folders_of_version1.sync()
    assert (again.status, again.files_updated, again.verified) == ("changed", 1, None)
    assert again.warnings == ("The source sends no digests, so every file counts as changed and only sizes are checked.",)

    folders_of_version1.offered = {}
    report = folders_of_version1.sync({"hasher": "none"})
    assert (report.files_updated, report.verified) == (1, None)
    assert report.warnings == ("This side takes no digests, so every file counts as changed and only sizes are checked.",)
    folders_of_version1.assert_equal()


def test_a_hasher_of_the_users(folders_of_version1: Mirror) -> None:
    """Both sides may use a user's class for digests."""
    folders_of_version1.offered = {"hasher": "tests.sync.directories.file_hashers.LengthHasher"}
    options = {"hasher": "tests.sync.directories.file_hashers.LengthHasher"}
    folders_of_version1.put("x", "four")
    assert folders_of_version1.sync(options).files_added == 1
    folders_of_version1.put("x", "five")
    assert folders_of_version1.sync(options).status == "unchanged"
    folders_of_version1.put("x", "three")
    assert folders_of_version1.sync(options).files_updated == 1
    folders_of_version1.assert_equal()


def test_names_that_differ_in_case_are_told(folders: Mirror) -> None:
    """Two names that differ only in case are synced with a warning."""
    folders.put("Readme")
    folders.put("README")
    (warning,) = folders.sync().warnings
    assert "'README' and 'Readme' differ only in case" in warning
    folders.assert_equal()


def test_progress_adds_up(folders: Mirror) -> None:
    """Progress adds up to the numbers of the report, with the total known from the start."""
    for number in range(5):
        folders.put(str(number), "x" * number)
    told: list[tuple[str, int, str, int | None]] = []
    report = folders.sync(
        {"files_per_request": 2}, progress=lambda name, amount, unit, total=None: told.append((name, amount, unit, total))
    )
    assert sum(amount for _, amount, unit, _ in told if unit == "files") == 5
    assert sum(amount for _, amount, unit, _ in told if unit == "bytes") == report.bytes_written == 10
    assert {total for _, _, unit, total in told if unit == "files"} == {5}
    assert report.requests == (4 if folders.version == 1 else 3)


def test_large_files_come_in_smaller_batches(folders_of_version1: Mirror) -> None:
    """Files that together exceed the bytes of a batch are requested one by one."""
    for number in range(6):
        folders_of_version1.put(str(number), "x" * 1000)
    assert folders_of_version1.sync({"files_per_request": 3, "bytes_per_request": 1500}).requests == 1 + 1 + 3
    folders_of_version1.assert_equal()
