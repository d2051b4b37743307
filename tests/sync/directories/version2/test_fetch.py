"""Downloads that fail: how far one goes on after broken answers and files that cannot be written, and what ends all of them."""

from __future__ import annotations

import errno
from pathlib import Path
from threading import Event

import pytest

from airflow_provider_sync.exceptions import FileError, GuardError, IncompleteStreamError, SyncFailed
from airflow_provider_sync.files.local import writer
from airflow_provider_sync.sync import attempts
from airflow_provider_sync.sync.directories import failures_in_a_row
from airflow_provider_sync.sync.directories.version2 import fetch, large_files
from tests.sync.directories.disturbed import cut_at, sync_with
from tests.sync.directories.mirror import Mirror, everything, target

LARGE = 1_500_000


@pytest.fixture
def folders(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> Mirror:
    """Give five files at the source, and no pauses."""
    monkeypatch.setattr(attempts.random, "uniform", lambda low, high: 0)
    for name in "abcde":
        folders_of_version2.put(name)
    return folders_of_version2


def test_a_file_at_which_the_connection_breaks(folders: Mirror) -> None:
    """A file at which all answers are cut is named, and all others arrive; or it is skipped with a warning."""
    with pytest.raises(SyncFailed, match=r"'c' of directory 'd' could not be synced; all others were.*The connection broke"):
        sync_with(folders, on_message=cut_at("c"))
    assert sorted(folders.contents()) == ["a", "b", "d", "e"]
    report = sync_with(folders, {"skip_unreadable": True}, on_message=cut_at("nothing"))
    assert (report.files_added, report.warnings) == (1, ())


def test_answers_that_are_cut_are_asked_for_again(folders: Mirror) -> None:
    """Content before a cut is not requested again, and a file that a retry brings is not an error."""
    asked: list[list[str]] = []
    left = ["b", "d", "d"]

    def cut(path: str) -> None:
        if left and path == left[0]:
            raise IncompleteStreamError(f"The connection broke at {left.pop(0)}.")

    report = sync_with(folders, retries=1, before_read=asked.append, on_message=cut)
    assert (report.files_added, report.verified, report.warnings) == (5, "digest", ())
    assert asked == [list("abcde"), list("bcde"), list("de"), list("de")]


def test_a_connection_that_brings_nothing(folders: Mirror) -> None:
    """If not even the first file arrives, the error is the connection's, and transient."""
    asked: list[list[str]] = []
    with pytest.raises(SyncFailed, match="The connection broke") as failure:
        sync_with(folders, retries=2, before_read=asked.append, on_message=cut_at("a"))
    assert (failure.value.retryable, len(asked)) == (True, 3)
    assert folders.contents() == {}


def test_many_broken_answers_in_a_row(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """After too many files in a row at which the connection breaks, the rest is not requested."""
    monkeypatch.setattr(failures_in_a_row, "MAX_BROKEN_IN_A_ROW", 1)
    asked: list[list[str]] = []
    with pytest.raises(SyncFailed) as failure:
        sync_with(folders, before_read=asked.append, on_message=cut_at("b", "c", "d"))
    assert failure.value.retryable
    assert asked[-1] == list("cde")
    assert sorted(folders.contents()) == ["a"]


def test_a_file_that_arrives_ends_the_row(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count of files at which the connection breaks starts again after each file that arrives."""
    monkeypatch.setattr(failures_in_a_row, "MAX_BROKEN_IN_A_ROW", 1)
    with pytest.raises(SyncFailed, match="'b', 'd' of directory 'd' could not be synced; all others were"):
        sync_with(folders, on_message=cut_at("b", "d"))
    assert sorted(folders.contents()) == ["a", "c", "e"]


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *paths: str) -> None:
    """Let the target refuse small files with an error of the operating system."""
    put = writer.LocalTreeWriter.put

    def refusing(self: writer.LocalTreeWriter, path: str, *content: object) -> None:
        if path in paths:
            raise FileError(f"Cannot write {path!r}.") from OSError(number, "refused")
        put(self, path, *content)  # type: ignore[arg-type]

    monkeypatch.setattr(writer.LocalTreeWriter, "put", refusing)


def test_files_that_cannot_be_written(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that the target refuses are named, and all others arrive."""
    refuse(monkeypatch, errno.EACCES, "b", "c")
    with pytest.raises(SyncFailed, match=r"'b', 'c' of directory 'd' could not be synced.*Cannot write 'b'"):
        folders.sync()
    assert sorted(folders.contents()) == ["a", "d", "e"]


@pytest.mark.parametrize(("number", "limit"), [(errno.EACCES, 1), (errno.ENOSPC, 100)])
def test_a_target_that_cannot_be_written(folders: Mirror, monkeypatch: pytest.MonkeyPatch, number: int, limit: int) -> None:
    """A full disk, or too many refused files in a row, end the sync; earlier files stay."""
    monkeypatch.setattr(failures_in_a_row, "MAX_FAILED_IN_A_ROW", limit)
    monkeypatch.setattr(fetch, "BATCH_FILES", 1)
    refuse(monkeypatch, number, "b", "c")
    asked: list[list[str]] = []
    with pytest.raises(SyncFailed, match=r"Cannot write '[bc]'"):
        sync_with(folders, {"downloads": 1}, before_read=asked.append)
    assert asked[-1] == (["c"] if number == errno.EACCES else ["b"])
    assert sorted(folders.contents()) == ["a"]


@pytest.mark.parametrize("size", [7, LARGE])
def test_a_failure_stops_other_downloads(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """After a failure, other downloads end and are not retried; no unfinished file has its name."""
    monkeypatch.setattr(large_files, "LARGE_BYTES", LARGE - 1)
    monkeypatch.setattr(fetch, "BATCH_FILES", 2)
    monkeypatch.setattr(fetch, "MIN_BATCH_BYTES", 10)
    stopped, under_way = Event(), Event()
    monkeypatch.setattr(fetch, "Event", lambda: stopped)
    folders = folders_of_version2
    for name in ("fails", "g", "slow", "t", "u"):
        folders.put(name, "x" * (size if name == "slow" else 7))
    asked: list[str] = []

    def ask(paths: list[str]) -> None:
        asked.extend(paths)
        if "fails" in paths:
            assert under_way.wait(60)
            raise GuardError("enough")

    def wait(path: str) -> None:
        if path == "slow":
            under_way.set()
            assert stopped.wait(60)

    with pytest.raises(SyncFailed, match="enough"):
        sync_with(folders, {"downloads": 2}, retries=3, before_read=ask, on_message=wait)
    assert asked.count("slow") == 1
    assert not (target(folders) / "slow").exists()
    assert "u" not in everything(target(folders))


def test_a_file_of_several_messages_that_is_cut(folders: Mirror) -> None:
    """A file that was cut between its messages is fetched again from its beginning."""
    content = "0123456789" * 250_000
    folders.put("c", content)
    asked: list[list[str]] = []
    messages = iter([None, None, None, "cut"])

    def cut(_: str) -> None:
        if next(messages, None):
            raise IncompleteStreamError("The connection broke.")

    report = sync_with(folders, retries=1, before_read=asked.append, on_message=cut)
    assert (report.files_added, report.verified) == (5, "digest")
    assert asked == [list("abcde"), list("cde")]
    folders.assert_equal()
    assert everything(target(folders)) == list("abcde")


def test_a_file_that_turns_unreadable_at_the_source(folders: Mirror) -> None:
    """A file that became unreadable at the source fails the sync by name; the others arrive."""

    def replace(_: list[str]) -> None:
        path = Path(folders.source.location) / "b"
        path.unlink()
        path.symlink_to(path)

    with pytest.raises(SyncFailed, match="'b' of directory 'd' could not be synced; all others were"):
        sync_with(folders, before_read=replace)
    assert sorted(folders.contents()) == ["a", "c", "d", "e"]
