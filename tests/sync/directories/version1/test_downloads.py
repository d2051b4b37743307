"""How downloads by version 1 reach the target, and what deletes leave."""

from __future__ import annotations

from pathlib import Path
from socket import socket
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ConfigurationError, SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.sync import sync_directory
from airflow_provider_sync.sync.directories.problems import ROUNDS
from airflow_provider_sync.sync.directories.steps import compare_directory
from airflow_provider_sync.sync.directories.version1 import downloads
from tests.client.scripted_server import reply, scripted_server, stream
from tests.sync.conftest import two_folders
from tests.sync.directories.mirror import Mirror, everything, put, target_directory
from tests.sync.directories.test_interruptions import MD5, frames, manifest


def test_emptied_directories_go(folders_of_version1: Mirror) -> None:
    """A directory is deleted with its last file, and so are its empty parents; other empty ones stay."""
    folders_of_version1.put("kept/x")
    for path in ("kept/x", "kept/below/y", "gone/a/z", "gone/b"):
        folders_of_version1.put_target(path)
    folder = Path(folders_of_version1.target.location)
    (folder / "empty").mkdir()
    folders_of_version1.sync({"max_deletes": "100%"})
    assert everything(folder) == ["empty", "kept", "kept/x"]


def test_what_arrived_before_an_error_stays(tmp_path: Path) -> None:
    """Files that arrived before a malformed answer are not fetched again."""
    with scripted_server() as script, SyncClient(script.url, retries=0, protocol="1") as client:
        script.answer(manifest("a", "b", "c"), stream(frames("a", "b", "x")))
        with pytest.raises(SyncFailed):
            sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert everything(tmp_path / "target") == ["a", "b"]


def test_a_file_that_never_stands_still_leaves_no_directory(tmp_path: Path) -> None:
    """A file that changes each time leaves no empty directory behind."""
    listed = [reply(200, b'{"hashes":{"a":"%b","new/deep/f":"%d"}}' % (MD5.encode(), number)) for number in range(ROUNDS)]
    changed = frame_header("new/deep/f", 3) + b"new"
    with scripted_server() as script, SyncClient(script.url, retries=0, protocol="1") as client:
        again = [answer for later in listed[1:] for answer in (later, stream(changed))]
        script.answer(listed[0], stream(frames("a") + changed), *again)
        report = sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert (report.status, report.verified) == ("changed", None)
    assert everything(tmp_path / "target") == ["a"]


@pytest.mark.parametrize("skip", [False, True])
def test_a_digest_that_the_content_never_has(tmp_path: Path, skip: bool) -> None:
    """A file that never fits its digest is named or skipped, and not reported as changed."""
    target = open_storage(str(tmp_path / "target"))
    put(target, "old", "kept")
    listed = manifest("a", "b")
    other = stream(frame_header("b", 3) + b"new")
    with scripted_server() as script, SyncClient(script.url, retries=0, protocol="1") as client:
        script.answer(listed, stream(frames("a") + frame_header("b", 3) + b"new"), *[listed, other] * (ROUNDS - 1))
        options = target_directory({"skip_unreadable": skip})
        if skip:
            report = sync_directory(client, options, target)
            assert [warning for warning in report.warnings if "'b'" in warning and "the same hasher" in warning]
        else:
            with pytest.raises(SyncFailed, match=r"'b' .*could not be synced.*nothing was deleted.*the same hasher") as failure:
                sync_directory(client, options, target)
            assert not failure.value.retryable
    assert everything(tmp_path / "target") == (["a"] if skip else ["a", "old"])


def test_another_hasher_than_the_server(folders_of_version1: Mirror) -> None:
    """Digests of another hasher are reported as such; nothing is written or deleted."""
    folders_of_version1.offered = {"hasher": "tests.sync.directories.file_hashers.LengthHasher"}
    folders_of_version1.put("a")
    folders_of_version1.put_target("z")
    with pytest.raises(SyncFailed, match="the same hasher"):
        folders_of_version1.sync()
    assert folders_of_version1.contents() == {"z": "content"}


FAILED = b'{"message": "Server Error"}'


@pytest.mark.parametrize("skip", [False, True])
def test_a_file_that_the_server_cannot_send(tmp_path: Path, skip: bool) -> None:
    """A file over which an existing server fails mid-stream is named or skipped, and not reported as changed."""
    target = open_storage(str(tmp_path / "target"))
    put(target, "old", "kept")
    listed = manifest("a", "b")
    failing = stream(frame_header("b", 100) + FAILED)
    with scripted_server() as script, SyncClient(script.url, retries=0, protocol="1") as client:
        options = target_directory({"skip_unreadable": skip})
        script.answer(listed, stream(frames("a") + frame_header("b", 100) + FAILED), failing, *[listed, failing] * (ROUNDS - 1))
        if not skip:
            with pytest.raises(SyncFailed, match=r"'b' .*could not be synced.*nothing was deleted.*The server failed"):
                sync_directory(client, options, target)
            assert everything(tmp_path / "target") == ["a", "old"]
            return
        (warning,) = sync_directory(client, options, target).warnings
        assert "'b' could not be synced and was skipped" in warning
        assert everything(tmp_path / "target") == ["a"]
        script.answer(*[listed, failing] * ROUNDS)
        report = sync_directory(client, options, target)
        assert report.status == "unchanged"
        assert report.warnings == (warning,)


@pytest.mark.parametrize("option", [{"backup": "old"}, {"atomic": True}])
@pytest.mark.parametrize("hasher", [None, "tests.sync.directories.file_hashers.LengthHasher"])
def test_what_protects_files_by_version_2_alone_is_refused(tmp_path: Path, option: dict[str, Any], hasher: str | None) -> None:
    """Backups and atomic syncs are refused with version 1, in one task and in steps."""
    folders = two_folders(tmp_path, "1" if hasher is None else "auto")
    folders.offered = {} if hasher is None else {"hasher": hasher}
    folders.put("a", "new")
    folders.put_target("a", "old")
    folders.put_target("gone")
    options = {**option, "hasher": hasher}
    with pytest.raises(SyncFailed, match=f"'d': {next(iter(option))} needs version 2 of the protocol, and"):
        folders.sync(options)
    with folders.client() as client, pytest.raises(ConfigurationError, match="needs version 2"):
        compare_directory(client, target_directory(options), folders.target)
    assert folders.contents() == {"a": "old", "gone": "content"}


def test_large_answers_are_committed_in_between(folders_of_version1: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of a large answer get their names while others arrive, so a kill does not lose all."""
    monkeypatch.setattr(downloads, "COMMIT_BYTES", 1)
    for path in ("a", "b"):
        folders_of_version1.put(path)
    seen: list[set[str]] = []
    folders_of_version1.sync(progress=lambda *_: seen.append(set(folders_of_version1.contents())))
    assert seen[0] == {"a"}
    folders_of_version1.assert_equal()


def test_a_file_that_grows_while_it_is_sent(tmp_path: Path) -> None:
    """If an existing server sends more of a file than it announced, the files after it are requested again."""
    with scripted_server() as script, SyncClient(script.url, retries=0, protocol="1") as client:
        script.answer(manifest("a", "b", "c"), stream(frames("a", "b") + b"appended" + frames("c")), stream(frames("c")))
        report = sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert (report.status, report.verified, report.files_added) == ("changed", "hash", 3)
    assert everything(tmp_path / "target") == ["a", "b", "c"]


@pytest.mark.parametrize("first", ["shrunk", "grown"])
def test_a_file_without_digest_whose_size_changes_while_it_is_sent(tmp_path: Path, first: str) -> None:
    """Without digests, a file is not kept unless the next one begins where it ends: it may have content of the next one."""
    content = b"content of a file"
    shrunk = frame_header("a", 20) + b"short" + frame_header("b", 17) + content
    grown = frame_header("a", 10) + content + frame_header("b", 17) + content
    whole = b"".join(frame_header(path, 17) + content for path in ("a", "b"))
    target = open_storage(str(tmp_path / "target"))
    put(target, "a", "old")
    put(target, "b", "old")
    seen: list[str] = []

    def answer(connection: socket) -> None:
        seen.append((tmp_path / "target" / "a").read_text())
        connection.sendall(stream(whole))

    with scripted_server() as script, SyncClient(script.url, retries=1, protocol="1") as client:
        script.answer(reply(200, b'{"hashes":{"a":"","b":""}}'), stream(shrunk if first == "shrunk" else grown), answer)
        report = sync_directory(client, target_directory({"hasher": "none"}), target)
    assert seen == ["old"]
    assert (report.files_added, report.files_updated) == (0, 2)
    assert [(tmp_path / "target" / path).read_bytes() for path in ("a", "b")] == [content, content]


def test_a_file_without_digest_whose_size_changes_each_time(tmp_path: Path) -> None:
    """If a file without digest changes its size each time, the error names it and the reason, and the old content stays."""
    target = open_storage(str(tmp_path / "target"))
    put(target, "a", "old")
    put(target, "b", "old")
    listed = reply(200, b'{"hashes":{"a":"","b":""}}')
    shrunk = stream(frame_header("a", 20) + b"short" + frame_header("b", 17) + b"content of a file")
    whole = stream(frame_header("b", 1) + b"b")
    with scripted_server() as script, SyncClient(script.url, retries=0, protocol="1") as client:
        script.answer(listed, shrunk, whole, *[listed, stream(frame_header("a", 3) + b"grown, and again")] * (ROUNDS - 1))
        with pytest.raises(SyncFailed, match=r"'a' .*could not be synced.*grow or shrink while the server sent it"):
            sync_directory(client, target_directory({"hasher": "none"}), target)
    assert (tmp_path / "target" / "a").read_text() == "old"
    assert (tmp_path / "target" / "b").read_text() == "b"


@pytest.mark.parametrize(
    ("hasher", "message"),
    [
        ("FailingHasher", r"hasher '.*FailingHasher' failed with KeyError: 'place'\. Correct that class"),
        ("NothingHasher", r"hasher is '.*NothingHasher', which returned NoneType"),
    ],
)
@pytest.mark.parametrize("present", [False, True], ids=["downloads", "compares"])
def test_a_hasher_that_fails(folders_of_version1: Mirror, hasher: str, message: str, present: bool) -> None:
    """An error of a hasher of the user's names its class, and nothing is written."""
    folders_of_version1.offered = {"hasher": "tests.sync.directories.file_hashers.LengthHasher"}
    folders_of_version1.put("a", "new")
    if present:
        folders_of_version1.put_target("a", "old")
    before = folders_of_version1.contents()
    with pytest.raises(SyncFailed, match=message):
        folders_of_version1.sync({"hasher": f"tests.sync.directories.file_hashers.{hasher}"})
    assert folders_of_version1.contents() == before
