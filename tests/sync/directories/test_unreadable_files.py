"""Single files that cannot be read, sent, written or deleted: they are named, and everything else is synced."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from hashlib import md5
from importlib import import_module
from json import dumps
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import ServerError, SyncError, SyncFailed
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync import sync_directory
from airflow_provider_sync.sync.directories import noted_files
from airflow_provider_sync.sync.directories.diff import DirectoryDiff, diff_directory
from airflow_provider_sync.sync.directories.steps import compare_directory, delete_files, download_batch
from airflow_provider_sync.sync.directories.version1 import source_files
from tests.client.scripted_server import Request, ScriptedServer, reply, scripted_server, stream
from tests.sync.directories.mirror import Mirror, everything, put, source, target_directory

SKIP = {"skip_unreadable": True}
NOT_UTF8 = b"caf\xe9.txt"


@pytest.fixture(params=["1", "auto"], ids=["version 1", "version 2"])
def plain(request: pytest.FixtureRequest) -> Iterator[Mirror]:
    """Give two folders of a user who may not read everything, by each version, and let this process be that user."""
    user = os.geteuid()
    import_module("prometheus_client.exposition")  # by the server at its first start, which may be too late for this user
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        for name in ("source", "target"):
            (root / name).mkdir()
            if not user:
                os.chown(root / name, 65534, -1)
        if not user:
            os.seteuid(65534)
        try:
            yield Mirror(open_storage(str(root / "source")), open_storage(str(root / "target")), protocol=request.param)
        finally:
            os.seteuid(user)


def unreadable_file(mirror: Mirror) -> str:
    """Make a file that this user cannot read."""
    mirror.put("secret")
    (source(mirror) / "secret").chmod(0)
    return "'secret'"


def unreadable_directory(mirror: Mirror) -> str:
    """Make a directory that this user cannot read."""
    mirror.put("private/x")
    (source(mirror) / "private").chmod(0)
    return "'private/'"


def not_utf8(mirror: Mirror) -> str:
    """Make a file whose name is not UTF-8."""
    (source(mirror) / os.fsdecode(NOT_UTF8)).write_text("content")
    return r"'caf\\xe9.txt'"


def in_steps(mirror: Mirror, options: dict[str, Any] | None = None) -> DirectoryReport:
    """Sync in three steps."""
    directory = target_directory(options)
    with mirror.client() as client:
        found = compare_directory(client, directory, mirror.target)
        if not found.batches:
            return found.report
        batches = [download_batch(client, directory, mirror.target, batch) for batch in found.batches]
        return delete_files(client, directory, mirror.target, batches)


def in_diff(mirror: Mirror) -> DirectoryDiff:
    """Look what a sync would change."""
    with mirror.client() as client:
        return diff_directory(client, target_directory(), mirror.target)


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("make", [unreadable_file, unreadable_directory, not_utf8])
def test_what_the_server_cannot_read_is_named(plain: Mirror, make: Any, steps: bool) -> None:
    """If the server cannot read a file, the others arrive, nothing is deleted, and it is named, or skipped with a warning."""
    name = make(plain)
    plain.put("a")
    plain.put("b/c")
    for path in ("secret", "private/x", "old"):
        plain.put_target(path, "kept")
    before = plain.contents()
    run = in_steps if steps else Mirror.sync
    with pytest.raises(Exception, match="could not be synced; all others were") as failure:
        run(plain)
    assert name in str(failure.value)
    assert not failure.value.retryable  # type: ignore[attr-defined]  # a SyncError
    assert plain.contents() == {**before, "a": "content", "b/c": "content"}
    report = run(plain, SKIP)
    assert (report.status, report.verified) == ("changed", None)
    assert any(name in warning for warning in report.warnings)
    # What may be at the source stays, the rest goes.
    kept = {"secret": "secret", "private/x": "private/"}
    expected = {path for path, shown in kept.items() if shown in name} | {"a", "b/c"}
    assert set(plain.contents()) == expected


@pytest.mark.parametrize("make", [unreadable_directory, not_utf8])
def test_a_look_names_it_too(plain: Mirror, make: Any) -> None:
    """A dry run and ``diff`` name what the server cannot read, say that nothing was changed, and show its name in one form."""
    name = make(plain)
    plain.put("a")
    for look in (lambda: plain.sync(dry_run=True), lambda: in_diff(plain)):
        with pytest.raises(SyncError, match="of directory 'd' cannot be synced; nothing was changed\\.") as failure:
            look()
        assert name in str(failure.value)
        assert "udce9" not in str(failure.value)
    assert plain.contents() == {}


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("make", [unreadable_file, unreadable_directory, not_utf8])
def test_a_single_file_that_the_server_can_read(plain: Mirror, make: Any, steps: bool) -> None:
    """A source with one readable file and many unreadable ones does not count as empty."""
    make(plain)
    plain.put("a")
    plain.put_target("old", "goes")
    assert (in_steps if steps else Mirror.sync)(plain, SKIP).files_deleted == 1
    assert set(plain.contents()) == {"a"}


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
@pytest.mark.parametrize("make", [unreadable_file, unreadable_directory, not_utf8])
def test_nothing_that_the_server_can_read(plain: Mirror, make: Any, steps: bool) -> None:
    """A source with only unreadable files does not count as empty: they are named, and nothing is deleted."""
    name = make(plain)
    for path in ("old", "older"):
        plain.put_target(path, "kept")
    before = plain.contents()
    with pytest.raises(Exception, match="could not be synced; all others were") as failure:
        (in_steps if steps else Mirror.sync)(plain)
    assert name in str(failure.value)
    assert plain.contents() == before
    with pytest.raises(Exception, match="is empty, and the target has 2 files"):
        (in_steps if steps else Mirror.sync)(plain, SKIP)
    assert plain.contents() == before


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_many_files_that_the_server_cannot_read(plain: Mirror, monkeypatch: pytest.MonkeyPatch, steps: bool) -> None:
    """Of many unreadable files, some are named and all are counted; nothing is deleted while any fails; skipped ones stay."""
    monkeypatch.setattr(noted_files, "MAX_KEPT", 2)
    names = [f"secret {number}" for number in range(6)]
    for name in names:
        plain.put(name)
        (source(plain) / name).chmod(0)
    plain.put("a")
    for name in (*names[3:], "old"):  # the others are new
        plain.put_target(name, "kept")
    run = in_steps if steps else Mirror.sync
    with pytest.raises(Exception, match=r"'secret \d', 'secret \d' and \d more") as failure:
        run(plain)
    assert not failure.value.retryable  # type: ignore[attr-defined]  # a SyncError
    assert set(plain.contents()) == {*names[3:], "a", "old"}
    report = run(plain, SKIP)
    assert (report.files_deleted, report.verified) == (1, None)
    assert set(plain.contents()) == {*names[3:], "a"}


def test_existing_clients_are_not_told_half(plain: Mirror) -> None:
    """A client that does not know of unreadable files gets an error that names the file, since it would delete its copy."""
    plain.put("a")
    unreadable_file(plain)
    with plain.client() as client, pytest.raises(ServerError, match="'secret'") as failure:
        client.get_file_hashes("d")
    assert failure.value.status == 500


def test_patterns_leave_unreadable_files_out(plain: Mirror) -> None:
    """Excluded unreadable files are ignored."""
    plain.put("a")
    unreadable_file(plain)
    unreadable_directory(plain)
    report = plain.sync({"exclude": ["secret", "private/"]})
    assert (report.status, report.warnings, report.verified) == ("changed", (), plain.verified)


def test_a_target_that_cannot_be_read_in_part(plain: Mirror) -> None:
    """An unreadable file of the target is replaced; an unreadable directory, and a non-UTF-8 name, are named and stay."""
    plain.put("a", "new")
    for path in ("a", "private/x"):
        plain.put_target(path, "old")
    target = Path(plain.target.location)
    (target / "a").chmod(0)
    (target / "private").chmod(0)
    (target / os.fsdecode(NOT_UTF8)).write_text("kept")
    with pytest.raises(SyncFailed) as failure:
        plain.sync()
    assert "'private/'" in str(failure.value)
    assert r"'caf\\xe9.txt'" in str(failure.value)
    (target / "private").chmod(0o755)
    (target / "a").chmod(0o644)
    assert (target / "a").read_text() == "new"
    assert (target / "private/x").read_text() == "old"
    assert (target / os.fsdecode(NOT_UTF8)).read_text() == "kept"


def test_a_folder_of_the_target_that_cannot_be_written(plain: Mirror) -> None:
    """Files without write permission at the target are named; all others arrive, and no temporary file stays."""
    plain.put("closed/a", "new")
    plain.put("open/b")
    plain.put_target("closed/a", "old")
    plain.put_target("z")
    folder = Path(plain.target.location) / "closed"
    folder.chmod(0o555)
    with pytest.raises(SyncFailed, match=r"'closed/a' of directory 'd' could not be synced.*Permission denied") as failure:
        plain.sync()
    (report,) = failure.value.reports
    assert isinstance(report, DirectoryReport)
    assert (report.status, report.files_added, report.files_deleted) == ("failed", 1, 0)
    assert plain.contents() == {"closed/a": "old", "open/b": "content", "z": "content"}
    assert everything(Path(plain.target.location)) == ["closed", "closed/a", "open", "open/b", "z"]


@pytest.mark.parametrize("steps", [False, True], ids=["one go", "steps"])
def test_a_file_that_cannot_be_deleted(plain: Mirror, steps: bool) -> None:
    """A file that cannot be deleted is named after all others were deleted; or it is skipped with a warning."""
    plain.put("a", "new")
    for path in ("a", "closed/old", "gone", "open/old"):
        plain.put_target(path, "old")
    (Path(plain.target.location) / "closed").chmod(0o555)
    run = in_steps if steps else Mirror.sync
    deleted = r"'closed/old' of directory 'd' could not be synced; all others were, and 2 files were deleted\. Cannot delete"
    with pytest.raises(Exception, match=deleted) as failure:
        run(plain)
    assert not failure.value.retryable  # type: ignore[attr-defined]  # a SyncError
    assert plain.contents() == {"a": "new", "closed/old": "old"}
    if isinstance(failure.value, SyncFailed):
        (failed,) = failure.value.reports
        assert isinstance(failed, DirectoryReport)
        assert (failed.files_updated, failed.files_deleted) == (1, 2)
    plain.put_target("gone", "old")
    report = run(plain, SKIP)
    assert (report.status, report.files_deleted, report.verified) == ("changed", 1, None)
    assert any("'closed/old' could not be synced and was skipped" in warning for warning in report.warnings)
    assert everything(Path(plain.target.location)) == ["a", "closed", "closed/old"]


@pytest.fixture
def script() -> Iterator[ScriptedServer]:
    """Give a server that answers as the test says."""
    with scripted_server() as server:
        yield server


def existing(script: ScriptedServer, paths: Sequence[str], refused: Sequence[str], *, times: int = 1_000) -> None:
    """Answer as an existing server does that lists files which it cannot send.

    :param times: how often each of them is refused when it is asked for alone
    """
    digest = md5(b"content", usedforsecurity=False).hexdigest()
    left = dict.fromkeys(refused, times)

    def answer(connection: socket) -> None:
        request: Request = script.requests[-1]
        wanted = [value for name, value in request.fields if name.startswith("files")]
        if request.path.endswith("Hashes"):
            connection.sendall(reply(200, dumps({"hashes": dict.fromkeys(paths, digest)}).encode()))
        elif any(map(left.get, wanted)):
            if len(wanted) == 1:
                left[wanted[0]] -= 1
            connection.sendall(reply(500, b'{"message": "Server Error"}'))
        else:
            connection.sendall(stream(b"".join(frame_header(path, 7) + b"content" for path in wanted)))

    script.answer(answer)


def test_files_that_an_existing_server_refuses_are_found(script: ScriptedServer, tmp_path: Path) -> None:
    """A batch that is answered with 500 is split until the files are known; all others arrive, and nothing is deleted."""
    paths = [" begins with a blank", *(f"file {number:02}" for number in range(30))]
    existing(script, paths, [paths[0], "file 17"])
    target = open_storage(str(tmp_path / "target"))
    put(target, "old", "content")
    with SyncClient(script.url, retries=0, protocol="1") as client:
        with pytest.raises(SyncFailed, match="' begins with a blank', 'file 17' of directory 'd' could not be synced") as failure:
            sync_directory(client, target_directory(), target)
        assert not failure.value.retryable
        assert set(everything(tmp_path / "target")) == {*paths[1:18], *paths[19:], "old"}
        assert len(script.requests) < 30
        report = sync_directory(client, target_directory(SKIP), target)
    assert (report.status, report.files_deleted, report.verified) == ("changed", 1, None)
    assert set(everything(tmp_path / "target")) == {*paths[1:18], *paths[19:]}


def test_a_file_that_is_refused_for_a_while_arrives(script: ScriptedServer, tmp_path: Path) -> None:
    """A file that an existing server answers with 500 is asked for again after the others, as one whose answer was cut."""
    paths = [f"file {number}" for number in range(5)]
    existing(script, paths, [paths[2]], times=2)
    target = open_storage(str(tmp_path / "target"))
    put(target, "old", "content")
    with SyncClient(script.url, retries=0, protocol="1") as client:
        report = sync_directory(client, target_directory(), target)

    assert (report.status, report.files_added, report.files_deleted) == ("changed", 5, 1)
    assert everything(tmp_path / "target") == paths


def test_a_server_that_refuses_everything_is_given_up(script: ScriptedServer, tmp_path: Path) -> None:
    """A server that sends no file ends the sync after a limited number of requests."""
    paths = [f"file {number}" for number in range(500)]
    existing(script, paths, paths)
    with SyncClient(script.url, retries=0, protocol="1") as client, pytest.raises(SyncFailed):
        sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert len(script.requests) < 120


def test_names_that_no_file_here_can_have(script: ScriptedServer, tmp_path: Path) -> None:
    """Files whose names are too long for the target are named, and the others arrive."""
    paths = ["a", "x" * 256, "z"]
    existing(script, paths, [])
    with (
        SyncClient(script.url, retries=0, protocol="1") as client,
        pytest.raises(SyncFailed, match=r"could not be synced.*a component of more than 255 bytes"),
    ):
        sync_directory(client, target_directory(), open_storage(str(tmp_path / "target")))
    assert everything(tmp_path / "target") == ["a", "z"]


def test_many_names_that_no_file_here_can_have(script: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many such names, some are kept, and all are counted."""
    monkeypatch.setattr(source_files, "MAX_KEPT", 2)
    existing(script, ["a", *(f"{number}{'x' * 256}" for number in range(8))], [])
    given = target_directory(SKIP), open_storage(str(tmp_path / "target"))
    with SyncClient(script.url, retries=0, protocol="1") as client:
        (warning,) = sync_directory(client, *given).warnings
        assert "and 6 more could not be synced and were skipped" in warning
        assert everything(tmp_path / "target") == ["a"]
        with pytest.raises(SyncFailed, match="and 6 more of directory"):
            sync_directory(client, target_directory(), given[1])
