"""Directories whose sync is disturbed: files that move, broken connections, other syncs, and sudden death."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest

from airflow_provider_sync.cancellation import SyncCancelled
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.version1_answers import FilesAnswer
from airflow_provider_sync.exceptions import DirectoryBusyError, IncompleteStreamError, SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.protocol.v1.file_hashes import Manifest
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.sync import sync_directory
from tests.client.scripted_server import ScriptedServer, reply, scripted_server, stream
from tests.sync.directories.mirror import Mirror, contents, everything, put, target_directory

ONE_BY_ONE = {"files_per_request": 1}
CONTENT = b"content"
MD5 = "9a0364b9e99bb480dd25e1f0284c8555"


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    """Give a server that answers as the test says."""
    with scripted_server() as server:
        yield server


class AfterFirst:
    """A progress that does something once, when the first file has arrived."""

    def __init__(self, action: object) -> None:
        self.action = action

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Act on the first call."""
        action, self.action = self.action, None
        if callable(action):
            action()


def manifest(*paths: str) -> bytes:
    """Answer a manifest of files with the same content."""
    entries = ",".join(f'"{path}":"{MD5}"' for path in paths)
    return reply(200, b'{"hashes":{%b}}' % entries.encode())


def frames(*paths: str) -> bytes:
    """Write the frames of files with the same content."""
    return b"".join(frame_header(path, len(CONTENT)) + CONTENT for path in paths)


def test_a_file_that_changes_after_the_manifest_is_asked_for_again(folders_of_version1: Mirror) -> None:
    """A file that changes between manifest and download arrives in its new form, with its new digest."""
    folders_of_version1.put("a")
    folders_of_version1.put("b", "old")
    report = folders_of_version1.sync(ONE_BY_ONE, progress=AfterFirst(lambda: folders_of_version1.put("b", "new")))
    assert (report.status, report.files_added, report.verified) == ("changed", 2, "hash")
    folders_of_version1.assert_equal()


def test_a_signal_right_after_a_file_was_created(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal leaves no unfinished file, even if it comes before the block that removes it."""
    create = os.open

    def create_and_end(path: str, *arguments: int, **options: int) -> int:
        descriptor = create(path, *arguments, **options)
        if str(path).endswith(".part"):
            os.close(descriptor)
            raise SyncCancelled(signal.SIGINT)
        return descriptor

    folders.put("a")
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", create_and_end)
        with pytest.raises(SyncCancelled):
            folders.sync()
    assert everything(folders.target.root) == []
    folders.sync()
    folders.assert_equal()


def test_a_file_that_never_rests_is_given_up(folders_of_version1: Mirror) -> None:
    """A file that changes each time fails the sync after a few tries; it is not written, and nothing is deleted."""
    folders_of_version1.offered = {"hasher": "tests.sync.directories.file_hashers.RestlessHasher"}
    folders_of_version1.put("a")
    folders_of_version1.put_target("a", "old")
    folders_of_version1.put_target("z")
    with pytest.raises(SyncFailed, match="changed each of the 3 times") as failure:
        folders_of_version1.sync()
    assert failure.value.retryable
    assert folders_of_version1.contents() == {"a": "old", "z": "content"}


def test_a_file_that_vanishes_after_the_manifest_is_left_out(folders_of_version1: Mirror) -> None:
    """A file that is removed between manifest and download is named, and the rest is synced; the next run deletes it."""
    folders_of_version1.put("a", "new")
    folders_of_version1.put("b", "new")
    folders_of_version1.put_target("b", "old")
    folders_of_version1.put_target("z")
    report = folders_of_version1.sync(ONE_BY_ONE, progress=AfterFirst(lambda: folders_of_version1.remove("b")))
    assert (report.status, report.files_added, report.files_deleted, report.verified) == ("changed", 1, 1, None)
    assert report.warnings == ("'b' went from the source during the sync; the next run deletes what is left.",)
    assert folders_of_version1.contents() == {"a": "new", "b": "old"}
    report = folders_of_version1.sync()
    assert (report.files_added, report.files_deleted, report.verified) == (0, 1, "hash")


class BeforeEachRequest(SyncClient):
    """A client that lets something happen before it asks for anything."""

    action: Callable[[], None]

    def get_manifest(self, name: str) -> Manifest:
        """Act, then ask."""
        self.action()
        return super().get_manifest(name)

    def get_files(self, name: str, paths: Sequence[str], *, repeat: bool = True) -> FilesAnswer:
        """Act, then ask."""
        self.action()
        return super().get_files(name, paths, repeat=repeat)


def test_a_directory_that_is_written_to_all_the_while(folders_of_version1: Mirror) -> None:
    """Unchanged files arrive and surplus ones are deleted; a file that keeps changing is named and not written."""
    writes = count()

    def write() -> None:
        number = next(writes)
        folders_of_version1.put("log", f"line {number}")
        folders_of_version1.put(f"new {number}")
        if number > 4:
            folders_of_version1.remove(f"new {number - 4}")

    for number in range(30):
        folders_of_version1.put(f"file {number:02}")
    folders_of_version1.put_target("log", "old")
    folders_of_version1.put_target("z")
    with folders_of_version1.client() as client, BeforeEachRequest(client.url, retries=0, protocol="1") as other:
        other.action = write
        report = sync_directory(other, target_directory({"files_per_request": 7}), folders_of_version1.target)
    assert (report.status, report.files_deleted, report.verified) == ("changed", 1, None)
    assert any("'log' changed at the source each of the 3 times" in warning for warning in report.warnings)
    contents_now = folders_of_version1.contents()
    assert contents_now.pop("log") == "old"
    assert {f"file {number:02}" for number in range(30)} <= set(contents_now)
    assert "z" not in contents_now
    folders_of_version1.sync()
    folders_of_version1.assert_equal()


def test_a_cut_batch_goes_on_with_the_rest(script: ScriptedServer, tmp_path: Path) -> None:
    """After a cut in the middle of a batch, only incomplete files are requested again."""
    cut = stream(frames("a", "b", "c")[:-3], end=False)
    script.answer(manifest("a", "b", "c", "d"), cut, stream(frames("c", "d")))
    with SyncClient(script.url, retries=0, protocol="1") as client:
        report = sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert (report.status, report.files_added) == ("changed", 4)
    asked = [[value for name, value in request.fields if name.startswith("files")] for request in script.requests]
    assert asked == [[], ["a", "b", "c", "d"], ["c", "d"]]
    assert everything(tmp_path / "target") == ["a", "b", "c", "d"]


@pytest.mark.parametrize("retries", [0, 2])
def test_a_server_that_always_cuts_is_given_up(
    script: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, retries: int
) -> None:
    """Cuts without a complete file end after ``retries`` more tries; nothing is deleted and nothing left behind."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    target = open_storage(str(tmp_path / "target"))
    put(target, "old", "kept")
    script.answer(manifest("a"), stream(frames("a")[:-1], end=False))
    with SyncClient(script.url, retries=retries, protocol="1") as client, pytest.raises(SyncFailed) as failure:
        sync_directory(client, target_directory(), target)
    assert failure.value.retryable
    assert isinstance(failure.value.__cause__, IncompleteStreamError)
    assert failure.value.reports[0].requests == len(script.requests) == 2 + retries
    assert len(pauses) == retries
    assert everything(tmp_path / "target") == ["old"]


@pytest.mark.parametrize(
    "answer",
    [
        reply(500, b'{"message": "Server Error"}'),
        stream(frames("b", "a")),
        stream(frames("a", "c")),
        stream(frames("a", "b", "c")),
        stream(frames("a") + b'{"message": "Server Error"}'),
        reply(200, b"<html>a login</html>", kind="text/html"),
    ],
    ids=["500", "another order", "another file", "one too many", "glued error", "html"],
)
def test_nothing_is_deleted_after_an_error(script: ScriptedServer, tmp_path: Path, answer: bytes) -> None:
    """After any error with files, surplus files stay, and no temporary file does."""
    target = open_storage(str(tmp_path / "target"))
    put(target, "old", "kept")
    script.answer(manifest("a", "b"), answer, manifest("a", "b"), answer)
    with SyncClient(script.url, retries=0, protocol="1") as client, pytest.raises(SyncFailed):
        sync_directory(client, target_directory(), target)
    left = contents(target)
    assert left.pop("old") == "kept"
    assert set(left.values()) <= {"content"}
    assert set(everything(tmp_path / "target")) <= {"a", "b", "old"}


def test_a_name_that_leads_out_is_refused(script: ScriptedServer, tmp_path: Path) -> None:
    """A manifest with a path out of the directory stops the sync before anything is asked for."""
    script.answer(manifest("a", "../b"))
    with SyncClient(script.url, retries=0, protocol="1") as client, pytest.raises(SyncFailed, match=r"\.\./b"):
        sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert len(script.requests) == 1
    assert not (tmp_path / "b").exists()
    assert everything(tmp_path / "target") == []


def test_two_syncs_of_one_directory_exclude_each_other(folders: Mirror) -> None:
    """A second sync of a directory fails clearly if the first does not end in time, and writes nothing."""
    folders.put("a")
    working, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        working.set()
        go_on.wait()

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(folders.sync, progress=AfterFirst(hold))
        try:
            assert working.wait(30)
            with pytest.raises(SyncFailed, match="Another sync has held") as failure:
                folders.sync(lock_timeout=0)
            # A dry run only looks.
            assert folders.sync(dry_run=True, lock_timeout=0).status == "unchanged"
        finally:
            go_on.set()
        assert first.result().status == "changed"
    assert failure.value.retryable
    assert isinstance(failure.value.__cause__, DirectoryBusyError)


def test_a_second_sync_waits(folders: Mirror) -> None:
    """A second sync of a directory that waits in time finds no difference."""
    folders.put("a")
    working, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        working.set()
        go_on.wait()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(folders.sync, progress=AfterFirst(hold))
        assert working.wait(30)
        second = pool.submit(folders.sync, lock_timeout=30)
        go_on.set()
        assert first.result().status == "changed"
        assert second.result().status == "unchanged"


def test_a_killed_download_leaves_nothing_for_long(folders_of_version1: Mirror) -> None:
    """A process that is killed during a file leaves the target's files as they were; the next run cleans up."""
    folders_of_version1.put("a", "new")
    folders_of_version1.put_target("a", "old")
    folders_of_version1.put_target("z", "old")
    folder = Path(folders_of_version1.target.location)
    assert folders_of_version1.sync_in_process({"hasher": "tests.sync.directories.file_hashers.DeadlyHasher"}) == -signal.SIGKILL
    assert folders_of_version1.contents() == {"a": "old", "z": "old"}
    assert len(everything(folder)) == 3
    report = folders_of_version1.sync()
    assert (report.files_updated, report.files_deleted) == (1, 1)
    folders_of_version1.assert_equal()
    assert everything(folder) == ["a"]


def test_a_dry_run_does_not_make_the_directory(folders: Mirror) -> None:
    """A dry run does not create a missing directory."""
    folders.put("a")
    assert folders.sync(dry_run=True).files_added == 1
    assert not Path(folders.target.location).exists()


def test_a_file_in_the_place_of_the_directory_is_an_error(folders: Mirror) -> None:
    """A target that is a file is refused by name, and not changed."""
    folders.put("a")
    path = Path(folders.target.location)
    path.write_text("a file")
    for dry_run in (True, False):
        with pytest.raises(SyncFailed, match="target"):
            folders.sync(dry_run=dry_run)
    assert path.read_text() == "a file"
