"""Directories in three steps that share nothing but the two directories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.exceptions import ConfigurationError, GuardError, TransportError
from airflow_provider_sync.files.paths import temporary_name
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.steps import FileBatch, compare_directory, delete_files, download_batch
from airflow_provider_sync.sync.directories.version1 import steps
from tests.sync.directories.mirror import Mirror, everything, target_directory


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two files be worth a task."""
    monkeypatch.setattr(steps, "TASK_FILES", 2)


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
    """Files come batch by batch, in any order; then those go that the source lacks, and nothing is left to do."""
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
    assert (report.files_total, report.bytes_written, report.verified) == (7, 63, "hash")
    assert report.requests >= 8
    mirror.assert_equal()
    assert steps.compare() == []


def test_a_cut_batch_goes_on(folders: Mirror) -> None:
    """A batch that was cut, tried again, downloads only the files that did not arrive."""
    for number in range(6):
        folders.put(f"{number}.txt", f"content {number}")
    steps = Steps(folders, {"files_per_request": 1})
    (batch,) = steps.compare(1)
    seen = []

    def cut(name: str, amount: int, unit: str, total: int | None = None) -> None:
        seen.append(unit)
        if seen.count("files") == 4:
            raise TransportError("the connection broke")

    with pytest.raises(TransportError):
        steps.download(batch, progress=cut)
    done = steps.download(batch)
    assert 0 < done.added < 6
    steps.delete([done])
    folders.assert_equal()


def test_files_in_the_way(mirror: Mirror) -> None:
    """A file where a directory must be, or in a directory where a file must be, gives way in its batch."""
    mirror.put("a/one.txt")
    mirror.put("b", "now a file")
    mirror.put_target("a", "in the way")
    mirror.put_target("b/two.txt", "in the way")
    steps = Steps(mirror, {"max_deletes": 100})
    steps.delete([steps.download(batch) for batch in steps.compare()])
    mirror.assert_equal()


def test_only_deletes(folders: Mirror) -> None:
    """Where files only have to go, there is one batch without any."""
    folders.put("stays.txt")
    folders.put_target("stays.txt")
    folders.put_target("goes.txt")
    steps = Steps(folders)
    batches = steps.compare()
    assert [(batch.files, batch.first) for batch in batches] == [(0, "")]
    assert steps.delete([steps.download(batch) for batch in batches]).files_deleted == 1
    folders.assert_equal()


def test_guards(folders: Mirror) -> None:
    """Too many deletions stop the comparison before anything is downloaded, and again the last step; nothing is deleted."""
    folders.put("new.txt")
    for number in range(200):
        folders.put_target(f"{number}.txt")
    with pytest.raises(GuardError, match="max_deletes"):
        Steps(folders).compare()
    with pytest.raises(GuardError, match="max_deletes"):
        Steps(folders).delete([FileBatch(directory="d")])
    assert len(folders.contents()) == 200


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
    """A value that no step returned is an error that says so."""
    with pytest.raises(ConfigurationError, match="step before"):
        FileBatch.from_dict({"path": "x"})


def test_the_last_step_removes_what_a_killed_task_left(folders: Mirror) -> None:
    """The unfinished file of a download that was killed is gone when the steps of its run have ended."""
    folders.put("deep/a.txt")
    folders.put_target("deep/b.txt")
    unfinished = Path(folders.target.location) / "deep" / temporary_name()
    unfinished.write_text("half of a file")
    steps = Steps(folders)
    report = steps.delete([steps.download(batch) for batch in steps.compare()])
    assert (report.files_added, report.files_deleted) == (1, 1)
    assert everything(Path(folders.target.location)) == ["deep", "deep/a.txt"]
