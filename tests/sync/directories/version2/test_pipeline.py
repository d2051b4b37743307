"""What version 2 of the protocol adds for directories: states, metadata, links, and files that change meanwhile."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.file_streams import ListingAnswer
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import ConfigurationError, GuardError, SyncFailed
from airflow_provider_sync.protocol.v2.file_messages import ListFiles
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync import directory_differs, sync_directory
from airflow_provider_sync.sync.directories.steps import compare_directory
from airflow_provider_sync.sync.directories.version2 import fetch, listings
from tests.files.local.writing import FailingCall
from tests.sync.directories.mirror import Mirror, everything, source, target, target_directory
from tests.sync.directories.version2.disturbed import Disturbed, sync_disturbed


def test_nothing_changed_is_one_small_request(folders: Mirror) -> None:
    """After a complete sync, the next one is one line, reads nothing, and reports the same totals."""
    for number in range(200):
        folders.put(f"deep/{number}")
    (source(folders) / "link").symlink_to("deep")
    with syncing(folders) as sync:
        first = sync()
        assert (first.files_added, first.verified, len(first.warnings)) == (200, "digest", 1)
        again = sync()
    assert (again.status, again.files_total, again.files_read, again.verified) == ("unchanged", 200, 0, "digest")
    assert again.warnings == first.warnings
    assert again.warnings[0].startswith("1 symbolic link of the source was left out")
    assert (again.requests, again.bytes_received < 200) == (1, True)


@contextmanager
def syncing(mirror: Mirror) -> Iterator[Callable[[], DirectoryReport]]:
    """Give a sync from one server, whose URL is part of what is remembered."""
    with mirror.client() as client, mirror.opened_cache() as cache:
        yield lambda: sync_directory(client, target_directory(), mirror.target, cache=cache)


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_change_on_either_side_is_noticed(folders: Mirror, side: str) -> None:
    """After a change on one side, the next sync makes both sides equal again."""
    for name in ("a", "b", "c"):
        folders.put(name)
    with syncing(folders) as sync:
        sync()
        changed = folders.source if side == "source" else folders.target
        root = Path(changed.location)
        (root / "a").write_text("changed")
        (root / "b").unlink()
        (root / "d").write_text("new")
        report = sync()
        assert (report.status, report.verified) == ("changed", "digest")
        folders.assert_equal()
        assert (sync().status, sync().requests) == ("unchanged", 1)


def put_target_now(mirror: Mirror) -> None:
    """Change a file of the target."""
    (target(mirror) / "a").write_text("CONTENT")


def test_what_somebody_does_meanwhile_is_not_remembered(folders: Mirror) -> None:
    """A change of the target after the comparison is corrected by the next sync."""
    for name in ("a", "b"):
        folders.put(name)
    with syncing(folders) as sync:
        sync()
    folders.put("b", "changed")
    sync_disturbed(folders, lambda: put_target_now(folders))
    assert folders.contents() == {"a": "CONTENT", "b": "changed"}
    assert folders.sync().files_updated == 1
    folders.assert_equal()


def test_a_state_is_of_its_options(folders: Mirror) -> None:
    """Files that one sync excluded do not count as synced for other options."""
    folders.put("a.txt")
    folders.put("b.png")
    assert folders.sync({"include": ["*.txt"]}).files_added == 1
    assert folders.sync({"include": ["*.txt"]}).status == "unchanged"
    assert folders.sync().files_added == 1
    folders.assert_equal()


def test_differences_by_the_state(folders: Mirror) -> None:
    """After a complete sync, whether a directory differs is one request; times alone are no difference."""
    folders.put("a")
    folders.sync()
    with folders.client() as client, folders.opened_cache() as cache:
        given = client, target_directory(), folders.target
        assert directory_differs(*given, cache=cache) is False
        assert client.traffic.requests == 2
        os.utime(source(folders) / "a", (1, 1))
        assert directory_differs(*given, cache=cache) is False
        folders.put("b")
        assert directory_differs(*given, cache=cache)
    assert sorted(folders.contents()) == ["a"]


def test_times_and_permissions(folders: Mirror) -> None:
    """Files get the source's time, and its permissions on request; if only these differ, nothing is fetched."""
    folders.put("d/a")
    folders.put("d/b")
    os.utime(source(folders) / "d/a", ns=(10**18, 10**18 + 7))
    (source(folders) / "d/a").chmod(0o750)
    (source(folders) / "d").chmod(0o750)
    folders.sync()
    assert (target(folders) / "d/a").stat().st_mtime_ns == 10**18 + 7
    assert (target(folders) / "d/a").stat().st_mode & 0o777 != 0o750
    report = folders.sync({"permissions": True})
    assert (report.status, report.files_touched, report.bytes_written, report.files_read) == ("changed", 1, 0, 0)
    assert (target(folders) / "d/a").stat().st_mode & 0o777 == 0o750
    assert (target(folders) / "d").stat().st_mode & 0o777 == 0o750
    os.utime(source(folders) / "d/a", ns=(10**18, 10**18 + 9))
    assert folders.sync({"mtime": False}).status == "unchanged"
    assert folders.sync().files_touched == 1
    assert (target(folders) / "d/a").stat().st_mtime_ns == 10**18 + 9


@pytest.mark.parametrize("checksum", ["cached", "always", "never"])
def test_checksums(folders: Mirror, checksum: str) -> None:
    """Only ``checksum: always`` finds a change that size and time do not show."""
    folders.put("a", "content")
    folders.sync()
    path = target(folders) / "a"
    before = path.stat()
    path.write_text("CONTENT")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    report = folders.sync({"checksum": checksum})
    assert report.files_updated == (0 if checksum == "never" else 1)
    assert report.verified == (None if checksum == "never" else "digest")
    assert report.files_read == (0 if checksum == "never" else 1)


def test_a_source_without_digests(folders: Mirror) -> None:
    """With a source without digests, size and time decide, and the report says so."""
    folders.offered = {"hasher": "none"}
    folders.put("a")
    folders.put_target("a")
    os.utime(source(folders) / "a", (1, 1))
    assert folders.sync().files_updated == 1
    again = folders.sync()
    assert (again.status, again.files_read) == ("unchanged", 0)
    with pytest.raises(ConfigurationError):
        target_directory({"checksum": "sometimes"})


def test_empty_directories(folders: Mirror) -> None:
    """Empty directories are created and removed as at the source, unless excluded files are in them."""
    (source(folders) / "new/deep").mkdir(parents=True)
    folders.put("x")
    (target(folders) / "old/deep").mkdir(parents=True)
    (target(folders) / "kept").mkdir()
    (target(folders) / "kept/mine").write_text("mine")
    report = folders.sync({"exclude": ["kept/mine"]})
    assert (report.status, report.files_deleted) == ("changed", 0)
    assert everything(target(folders)) == ["kept", "kept/mine", "new", "new/deep", "x"]
    assert folders.sync({"exclude": ["kept/mine"]}).status == "unchanged"


@pytest.mark.parametrize("links", ["skip", "keep", "follow"])
def test_links(folders: Mirror, links: str) -> None:
    """Links are left out, created, or followed, but never out of the directory."""
    folders.put("a")
    (source(folders) / "link").symlink_to("a")
    (source(folders) / "out").symlink_to("/etc/passwd")
    report = folders.sync({"links": links, "skip_unreadable": True})
    found = {path.name: path.is_symlink() for path in target(folders).iterdir()}
    assert found == {"skip": {"a": False}, "keep": {"a": False, "link": True}, "follow": {"a": False, "link": False}}[links]
    assert report.files_added == len(found)
    if links == "keep":
        (source(folders) / "link").unlink()
        (source(folders) / "link").symlink_to("b")
        folders.put("b")
        report = folders.sync({"links": links})
        assert (report.files_updated, (target(folders) / "link").readlink()) == (1, Path("b"))
        assert folders.sync({"links": links}).status == "unchanged"


def test_without_deletes(folders: Mirror) -> None:
    """With delete: false, surplus files stay, and the next sync finds no difference."""
    folders.put("a")
    folders.put_target("mine")
    report = folders.sync({"delete": False})
    assert (report.files_added, report.files_deleted) == (1, 0)
    assert sorted(folders.contents()) == ["a", "mine"]
    assert folders.sync({"delete": False}).status == "unchanged"


def test_a_directory_that_stays(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a directory cannot be removed, error and report have the number of deleted files."""
    folders.put("a")
    folders.put_target("kept/one")
    folders.put_target("kept/two")
    FailingCall("rmdir", errno.EPERM, lambda name: name == "kept", monkeypatch)
    with pytest.raises(
        SyncFailed, match=r"'kept' of .* could not be synced; all others were, and 2 files were deleted\."
    ) as failure:
        folders.sync()
    (report,) = failure.value.reports
    assert isinstance(report, DirectoryReport)
    assert (report.files_added, report.files_deleted) == (1, 2)
    assert sorted(folders.contents()) == ["a"]
    with pytest.raises(SyncFailed, match=r"'kept' of .* and nothing was deleted\."):
        folders.sync()


def test_backups(folders: Mirror) -> None:
    """Replaced and deleted files go to the backup, which is neither synced nor deleted."""
    folders.put("a", "new")
    folders.put_target("a", "old")
    folders.put_target("gone")
    options = {"backup": "kept [x]"}
    assert folders.sync(options).files_deleted == 1
    kept = {
        str(path.relative_to(target(folders) / "kept [x]")).split("/", 1)[1]: path.read_text()
        for path in (target(folders) / "kept [x]").rglob("*")
        if path.is_file()
    }
    assert kept == {"a": "old", "gone": "content"}
    assert folders.sync(options).status == "unchanged"


def test_all_or_nothing(folders: Mirror) -> None:
    """A failed atomic sync leaves the old tree; a successful one replaces it as a whole."""
    for name in ("a", "b"):
        folders.put(name, "new")
        folders.put_target(name, "old")
    with pytest.raises(SyncFailed):
        sync_atomic_while(folders, lambda: (source(folders) / "b").write_text("now longer"), times=9)
    assert folders.contents() == {"a": "old", "b": "old"}
    before = target(folders).stat().st_ino
    assert folders.sync({"atomic": True}).files_updated == 2
    assert target(folders).stat().st_ino != before
    folders.assert_equal()


def sync_atomic_while(mirror: Mirror, action: Callable[[], object], *, times: int) -> DirectoryReport:
    """Sync atomically while a file of the source never stands still."""
    count = iter(range(times))

    def act() -> None:
        (source(mirror) / "b").write_text("x" * (100 + next(count)))

    action()
    with mirror.client() as client, Disturbed(client.url, retries=0) as disturbed:
        disturbed.action = act
        return sync_directory(disturbed, target_directory({"atomic": True}), mirror.target)


def test_steps_cannot_be_atomic(folders: Mirror) -> None:
    """``atomic`` is refused in steps."""
    with folders.client() as client, pytest.raises(ConfigurationError, match="cannot be synced in steps"):
        compare_directory(client, target_directory({"atomic": True}), folders.target)


def test_names_that_cannot_exist_here(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that the target cannot hold stops the sync before it writes, or is skipped on request."""
    monkeypatch.setattr(listings, "MAX_KEPT", 2)
    for number in range(8):
        folders.put(f"a{number}")
    folders.put_target("old")
    long = "x" * 300

    class Answer(ListingAnswer):
        def __iter__(self):  # type: ignore[no-untyped-def]
            for entries in super().__iter__():
                yield tuple(
                    type(entry)(path=entry.path.replace("a", long), kind=entry.kind, size=entry.size) for entry in entries
                )
                yield entries[:0]

    def list_files(self: SyncClient, request: ListFiles) -> ListingAnswer:
        answer = original(self, request)
        answer.__class__ = Answer
        return answer

    original = SyncClient.list_files
    monkeypatch.setattr(SyncClient, "list_files", list_files)
    with pytest.raises(SyncFailed, match="and 6 more of directory 'd' cannot exist at the target, so nothing was written"):
        folders.sync()
    assert folders.contents() == {"old": "content"}
    for name in "bcd":
        folders.put(name)
    report = folders.sync({"skip_unreadable": True})
    assert any("and 6 more could not be synced and were skipped" in warning for warning in report.warnings)
    assert folders.contents() == dict.fromkeys("bcd", "content")


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (SizeLimits(max_file_bytes=10), "'b' has more than the 10 bytes that limits.max_file_bytes"),
        (SizeLimits(max_directory_bytes=20), "more than the 20 bytes that limits.max_directory_bytes"),
        (SizeLimits(max_files=1), "more than the 1 files that limits.max_files"),
    ],
)
def test_limits(folders: Mirror, limits: SizeLimits, message: str) -> None:
    """Exceeding a limit stops the sync before anything is written."""
    folders.put("a")
    folders.put("b", "x" * 15)
    with folders.client() as client, SyncClient(client.url, limits=limits) as limited:
        given = limited, target_directory(), folders.target
        with pytest.raises(SyncFailed, match=message) as failure:
            sync_directory(*given)
    assert isinstance(failure.value.__cause__, GuardError)
    assert folders.contents() == {}


@pytest.mark.parametrize("downloads", [1, 3])
def test_many_batches(folders: Mirror, monkeypatch: pytest.MonkeyPatch, downloads: int) -> None:
    """Files arrive in batches by any number of threads, and progress adds up."""
    monkeypatch.setattr(fetch, "BATCH_FILES", 7)
    monkeypatch.setattr(fetch, "MIN_BATCH_BYTES", 1000)
    for number in range(100):
        folders.put(f"{number % 7}/{number}", "x" * number)
    told = {"files": 0, "bytes": 0}

    def progress(name: str, amount: int, unit: str, total: int | None = None) -> None:
        told[unit] += amount

    report = folders.sync({"downloads": downloads}, progress=progress)
    assert (report.files_added, report.bytes_written) == (100, 4950)
    assert told == {"files": 100, "bytes": 4950}
    assert report.requests > 10
    folders.assert_equal()


def test_a_thread_that_fails_ends_the_others(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error in one of several downloads ends the sync; named files stay, and nothing else is left."""
    monkeypatch.setattr(fetch, "BATCH_FILES", 2)
    monkeypatch.setattr(fetch, "MIN_BATCH_BYTES", 10)
    for number in range(40):
        folders.put(str(number))
    folders.put_target("old")

    def fail(*_: object) -> None:
        raise GuardError("enough")

    with pytest.raises(SyncFailed, match="enough"):
        folders.sync({"downloads": 3}, progress=fail)
    assert folders.contents()["old"] == "content"
    assert set(everything(target(folders))) <= {*map(str, range(40)), "old"}
    folders.sync()
    folders.assert_equal()


def test_a_file_of_several_messages(folders: Mirror) -> None:
    """A file of several messages arrives among others in one request."""
    for name, size in (("a", 10), ("b", 2_500_000), ("c", 10)):
        source(folders).mkdir(exist_ok=True)
        (source(folders) / name).write_bytes(os.urandom(size))
    told: list[int] = []
    report = folders.sync(progress=lambda name, amount, unit, total=None: told.append(amount if unit == "bytes" else 0))
    assert (report.files_added, report.bytes_written, sum(told)) == (3, 2_500_020, 2_500_020)
    assert (target(folders) / "b").read_bytes() == (source(folders) / "b").read_bytes()
    target(folders).joinpath("b").unlink()
    target(folders).joinpath("b").mkdir()
    (target(folders) / "b/mine").write_text("mine")
    report = folders.sync({"exclude": ["b/mine"], "skip_unreadable": True})
    assert (report.files_added, "'b' could not be synced" in report.warnings[0]) == (0, True)
    assert everything(target(folders)) == ["a", "b", "b/mine", "c"]
