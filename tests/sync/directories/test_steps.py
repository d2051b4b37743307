"""Directories in three steps that share nothing but the two directories."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import ConfigurationError, FileError, GuardError, TransportError
from airflow_provider_sync.files.local import entries as local_entries
from airflow_provider_sync.files.paths import temporary_name
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.steps import FileBatch, compare_directory, delete_files, download_batch
from airflow_provider_sync.sync.directories.version1 import steps as version1
from airflow_provider_sync.sync.directories.version2 import fetch
from airflow_provider_sync.sync.directories.version2 import steps as version2
from tests.sync.directories.mirror import Mirror, everything, target_directory


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two files be worth a task."""
    monkeypatch.setattr(version1, "TASK_FILES", 2)
    monkeypatch.setattr(version2, "FILE_BYTES", 1_000)
    monkeypatch.setattr(version2, "TASK_BYTES", 2_000)


class Steps:
    """The steps of one directory, each with a client of its own, with only JSON between them."""

    def __init__(self, mirror: Mirror, options: dict[str, Any] | None = None) -> None:
        self.mirror = mirror
        self.directory = target_directory(options)

    def compare(self, batches: int = 3) -> list[FileBatch]:
        """Compare, and cut into batches."""
        with self.mirror.client() as client:
            found = compare_directory(client, self.directory, self.mirror.target, batches=batches)
        assert found.report.status == ("planned" if found.batches else "unchanged")
        assert found.report.requests
        return [FileBatch.from_dict(json.loads(json.dumps(batch.to_dict()))) for batch in found.batches]

    def download(self, batch: FileBatch, **arguments: Any) -> FileBatch:
        """Download one batch."""
        with self.mirror.client() as client:
            return download_batch(client, self.directory, self.mirror.target, batch, **arguments)

    def delete(self, batches: Sequence[FileBatch], **arguments: Any) -> DirectoryReport:
        """Delete what the source lacks."""
        with self.mirror.client() as client:
            return delete_files(client, self.directory, self.mirror.target, batches, **arguments)


def test_a_directory_arrives_in_batches(mirror: Mirror) -> None:
    """Files arrive in batches in any order; then surplus files are deleted, and both sides are equal."""
    for number in range(7):
        mirror.put(f"deep/{number}.txt", f"content {number}")
    mirror.put_target("deep/3.txt", "old")
    mirror.put_target("gone.txt")
    steps = Steps(mirror)
    batches = steps.compare()
    assert [batch.files for batch in batches] == [3, 3, 1]
    done = [steps.download(batch) for batch in reversed(batches)]
    assert "gone.txt" in mirror.contents()
    report = steps.delete(done)
    assert (report.status, report.files_added, report.files_updated, report.files_deleted) == ("changed", 6, 1, 1)
    assert (report.files_total, report.bytes_written) == (7, 63)
    assert report.verified == ("hash" if report.protocol == 1 else "digest")
    assert report.requests >= 8
    mirror.assert_equal()
    assert steps.compare() == []


def test_a_cut_batch_goes_on(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A retry of a cut batch downloads only the missing files."""
    monkeypatch.setattr(fetch, "BATCH_FILES", 1)
    for number in range(6):
        folders.put(f"{number}.txt", f"content {number}")
    steps = Steps(folders, {"files_per_request": 1})
    (batch,) = steps.compare(1)

    def cut(name: str, amount: int, unit: str, total: int | None = None) -> None:
        if unit == "files":
            raise TransportError("the connection broke")

    with pytest.raises(TransportError):
        steps.download(batch, progress=cut)
    # Several files may have got their names before the error was raised, even all.
    arrived = len(folders.contents())
    assert arrived > 0
    done = steps.download(batch)
    assert done.added == 6 - arrived
    steps.delete([done])
    folders.assert_equal()


def test_files_in_the_way(mirror: Mirror) -> None:
    """A file in the way of a directory, or files in the way of a file, are replaced in the same batch."""
    mirror.put("a/one.txt")
    mirror.put("b", "now a file")
    mirror.put_target("a", "in the way")
    mirror.put_target("b/two.txt", "in the way")
    steps = Steps(mirror, {"max_deletes": 100})
    steps.delete([steps.download(batch) for batch in steps.compare()])
    mirror.assert_equal()


def test_only_deletes(folders: Mirror) -> None:
    """If there are only deletes, there is one batch without files."""
    folders.put("stays.txt")
    folders.put_target("stays.txt")
    folders.put_target("goes.txt")
    steps = Steps(folders, {"mtime": False})
    batches = steps.compare()
    assert [(batch.files, batch.first) for batch in batches] == [(0, "")]
    assert steps.delete([steps.download(batch) for batch in batches]).files_deleted == 1
    folders.assert_equal()


def test_guards(folders: Mirror) -> None:
    """Too many deletes stop the comparison before downloads, and again the last step; nothing is deleted."""
    folders.put("new.txt")
    for number in range(200):
        folders.put_target(f"{number}.txt")
    with pytest.raises(GuardError, match="max_deletes"):
        Steps(folders).compare()
    with pytest.raises(GuardError, match="max_deletes"):
        Steps(folders).delete([FileBatch(directory="d")])
    assert len(folders.contents()) == 200


def test_guards_hold_for_what_is_in_the_way(mirror: Mirror) -> None:
    """A source that offers a file in place of a directory after the comparison deletes no more than allowed."""
    mirror.put("new.txt")
    mirror.put("old.txt")
    for number in range(3):
        mirror.put(f"images/{number}.png")
        mirror.put_target(f"images/{number}.png")
    steps = Steps(mirror, {"max_deletes": 2})
    batches = steps.compare()
    batch = msgspec.structs.replace(batches[0], first="images", last="old.txt")
    for number in range(3):
        mirror.remove(f"images/{number}.png")
    mirror.put("images", "now a file")
    before = mirror.contents()
    with pytest.raises(GuardError, match="max_deletes"):
        steps.download(batch)
    assert mirror.contents() == before


def test_guards_hold_for_all_batches_together(folders: Mirror) -> None:
    """If directories of the source become files after the comparison, all batches together delete no more than allowed."""
    for number in range(3):
        for name in "ac":
            folders.put(f"{number}{name}")
        for name in "xyz":
            folders.put(f"{number}b/{name}")
            folders.put_target(f"{number}b/{name}")
    steps = Steps(folders, {"max_deletes": 6, "mtime": False})
    batches = steps.compare()
    assert [(batch.first, batch.last, batch.max_deletes) for batch in batches] == [
        (f"{number}a", f"{number}c", 2) for number in range(3)
    ]
    before = folders.contents()
    for number, batch in enumerate(batches):
        # A source may tell each step another lie.
        for name in "xyz":
            folders.remove(f"{number}b/{name}")
        folders.put(f"{number}b", "now a file")
        with pytest.raises(GuardError, match=r"3 files .* would give way .* max_deletes leaves it 2"):
            steps.download(batch)
        folders.remove(f"{number}b")
        for name in "xyz":
            folders.put(f"{number}b/{name}")
    assert folders.contents() == before
    folders.remove("0b/x")
    done = [msgspec.structs.replace(batch, deleted=2) for batch in batches]
    with pytest.raises(GuardError, match="would delete 7 of 15 files; max_deletes is 6"):
        steps.delete(done)
    assert folders.contents() == before


def test_what_was_foreseen_may_give_way(mirror: Mirror) -> None:
    """A batch replaces the obstacles that the comparison found, also one file in the way of many."""
    for number in range(6):
        mirror.put(f"a/{number}")
    mirror.put_target("a", "in the way")
    for number in range(2):
        mirror.put(f"{number}", "now a file")
        mirror.put_target(f"{number}/x")
    mirror.put("b")
    mirror.put("c")
    steps = Steps(mirror, {"max_deletes": 3})
    batches = steps.compare(9)
    assert len(batches) > 1
    done = [steps.download(batch) for batch in reversed(batches)]
    assert steps.delete(done).files_deleted == 3
    mirror.assert_equal()


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (SizeLimits(max_file_bytes=10), "limits.max_file_bytes"),
        (SizeLimits(max_directory_bytes=30), "limits.max_directory_bytes"),
    ],
)
def test_limits_of_size_hold_in_a_batch(
    mirror: Mirror, monkeypatch: pytest.MonkeyPatch, limits: SizeLimits, message: str
) -> None:
    """A source that offers larger files after the comparison cannot exceed the limits."""
    monkeypatch.setattr(fetch, "BATCH_FILES", 1)
    for name in "abcd":
        mirror.put(name, "small")
    batches = Steps(mirror, {"files_per_request": 1}).compare(1)
    for name in "bcd":
        mirror.put(name, "more than that")
    with (
        mirror.client() as served,
        SyncClient(served.url, retries=0, protocol=mirror.protocol, limits=limits) as client,
        pytest.raises(GuardError, match=message),
    ):
        download_batch(client, target_directory({"files_per_request": 1}), mirror.target, batches[0])
    assert sum(map(len, mirror.contents().values())) <= 30


def test_a_dry_run(folders: Mirror) -> None:
    """A dry run counts, and writes nothing."""
    folders.put("new.txt")
    folders.put_target("goes.txt")
    before = folders.contents()
    steps = Steps(folders)
    report = steps.delete([steps.download(batch, dry_run=True) for batch in steps.compare()], dry_run=True)
    assert (report.status, report.files_added, report.files_deleted, report.bytes_written) == ("planned", 1, 1, 0)
    assert folders.contents() == before


def test_only_what_a_step_returned_is_taken() -> None:
    """A value that is not a step's result is an error that says so."""
    with pytest.raises(ConfigurationError, match="step before"):
        FileBatch.from_dict({"path": "x"})


def test_the_last_step_removes_what_a_killed_task_left(folders: Mirror) -> None:
    """The last step removes the unfinished file of a killed download."""
    folders.put("deep/a.txt")
    folders.put_target("deep/b.txt")
    unfinished = Path(folders.target.location) / "deep" / temporary_name()
    unfinished.write_text("half of a file")
    steps = Steps(folders)
    report = steps.delete([steps.download(batch) for batch in steps.compare()])
    assert (report.files_added, report.files_deleted) == (1, 1)
    assert everything(Path(folders.target.location)) == ["deep", "deep/a.txt"]


def test_batches_are_cut_by_bytes(folders_of_version2: Mirror) -> None:
    """A large file is its own batch, small ones share one; batches cover everything, in the order of paths."""
    folders_of_version2.put("a/large", "x" * 10_000)
    for path in ("a.txt", "b", "c", "d"):
        folders_of_version2.put(path)
    steps = Steps(folders_of_version2, {"mtime": False})
    batches = steps.compare(4)
    assert [(batch.first, batch.last, batch.files, batch.bytes) for batch in batches] == [
        ("a", "a/large", 2, 10_000),
        ("a.txt", "d", 4, 28),
    ]
    assert "9.8 KiB" in batches[0].summary
    for batch in batches:
        steps.download(batch)
    folders_of_version2.assert_equal()


def test_metadata_and_links_arrive_in_batches(folders_of_version2: Mirror) -> None:
    """Files with only another time are counted but not downloaded; links and empty directories are part of batches."""
    mirror = folders_of_version2
    mirror.put("same")
    mirror.put_target("same")
    root = Path(mirror.source.location)
    os.utime(root / "same", (1, 1))
    (root / "empty").mkdir()
    (root / "link").symlink_to("same")
    steps = Steps(mirror, {"links": "keep"})
    report = steps.delete([steps.download(batch) for batch in steps.compare()])
    assert (report.files_touched, report.bytes_written, report.status) == (1, 0, "changed")
    target = Path(mirror.target.location)
    assert ((target / "same").stat().st_mtime, (target / "link").readlink(), (target / "empty").is_dir()) == (
        1,
        Path("same"),
        True,
    )
    assert steps.compare() == []


def test_what_the_steps_left_is_remembered(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the last step, the next comparison is one line, as after a sync in one task."""
    monkeypatch.setattr(local_entries, "_FINE_NS", 0)
    mirror = folders_of_version2
    for number in range(50):
        mirror.put(f"{number}.txt")
    mirror.put_target("gone.txt")
    directory = target_directory()
    with mirror.client() as client, mirror.opened_cache() as cache:
        given = client, directory, mirror.target
        done = [download_batch(*given, batch, cache=cache) for batch in compare_directory(*given, cache=cache).batches]
        assert delete_files(*given, done, cache=cache).files_deleted == 1
        report = compare_directory(*given, cache=cache).report
    assert (report.status, report.verified, report.files_total, report.requests) == ("unchanged", "digest", 50, 1)
    assert report.bytes_received < 200


def test_a_file_that_cannot_be_written_stops_the_step(folders_of_version2: Mirror) -> None:
    """A file that cannot be written is named once all others are there, and nothing is deleted; or it is only a warning."""
    mirror = folders_of_version2
    mirror.put("a/x")
    mirror.put("b")
    mirror.put_target("a", "mine")
    for options, expected in (({"delete": False}, "'a/x'"), ({"delete": False, "skip_unreadable": True}, None)):
        steps = Steps(mirror, options)
        batches = steps.compare(1)
        if expected:
            with pytest.raises(FileError, match=expected):
                steps.download(batches[0])
            assert mirror.contents() == {"a": "mine", "b": "content"}
        else:
            report = steps.delete([steps.download(batch) for batch in batches])
            assert any("'a/x'" in warning for warning in report.warnings)
            assert (report.verified, mirror.contents()) == (None, {"a": "mine", "b": "content"})


def test_a_file_that_came_after_the_comparison(folders_of_version2: Mirror) -> None:
    """New files of the source after the comparison are mentioned, and the next sync brings them."""
    mirror = folders_of_version2
    mirror.put("a")
    steps = Steps(mirror)
    batches = steps.compare()
    mirror.put("z")
    report = steps.delete([steps.download(batch) for batch in batches])
    assert any("1 files came to the source" in warning for warning in report.warnings)
    assert [batch.files for batch in steps.compare()] == [1]
