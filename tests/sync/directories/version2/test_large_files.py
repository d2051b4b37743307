"""Large files: only what the target lacks is fetched, and what was cut goes on."""

from __future__ import annotations

import os
import random
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from blake3 import blake3

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import IncompleteStreamError, ServerError, SyncFailed, TransportError
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.server.directories import content_messages
from airflow_provider_sync.sync import attempts
from airflow_provider_sync.sync.directories.version2 import large_files
from airflow_provider_sync.sync.directories.version2.plan import Step
from tests.sync.directories.disturbed import sync_with
from tests.sync.directories.mirror import Mirror, everything

SIZE = 3_000_000


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a megabyte be large."""
    monkeypatch.setattr(large_files, "LARGE_BYTES", 1_000_000)


@pytest.fixture
def folders(folders_of_version2: Mirror) -> Mirror:
    """Give a large file that both sides have."""
    put(folders_of_version2, random.Random(1).randbytes(SIZE))
    assert folders_of_version2.sync().files_added == 1
    return folders_of_version2


def put(mirror: Mirror, content: bytes, *, seconds: int = 0) -> None:
    """Write the source's file."""
    path = Path(mirror.source.location) / "large"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    # A version of its own, however coarse the clock is.
    os.utime(path, (1_700_000_000 + seconds, 1_700_000_000 + seconds))


def target(mirror: Mirror) -> Path:
    """Return where the target's file is."""
    return Path(mirror.target.location) / "large"


def source(mirror: Mirror) -> bytes:
    """Read the source's file."""
    return (Path(mirror.source.location) / "large").read_bytes()


@pytest.mark.parametrize("cached", [True, False])
def test_only_missing_chunks_come(folders: Mirror, cached: bool) -> None:
    """Of a file with an inserted, a removed and a changed stretch, and one that grew, only nearby chunks are fetched."""
    if not cached:
        folders.cache = None
    content = source(folders)
    put(folders, content[:1000] + b"inserted" + content[1000:1_500_000] + content[1_500_100:] + b"appended", seconds=1)
    report = folders.sync()
    assert (report.files_updated, report.verified) == (1, "digest")
    assert report.bytes_received < SIZE / 3
    assert target(folders).read_bytes() == source(folders)
    put(folders, source(folders) + b"grown", seconds=2)
    assert folders.sync().bytes_received < SIZE / 5
    assert target(folders).read_bytes() == source(folders)
    assert everything(target(folders).parent) == ["large"]


def test_a_file_with_nothing_in_common(folders: Mirror) -> None:
    """A file without common chunks is fetched as a whole."""
    put(folders, random.Random(2).randbytes(SIZE), seconds=1)
    assert folders.sync().bytes_received > SIZE
    assert target(folders).read_bytes() == source(folders)


def test_a_file_that_cannot_be_read_here(folders: Mirror) -> None:
    """An unreadable file of the target is replaced as a whole."""
    put(folders, source(folders) + b"grown", seconds=1)
    target(folders).unlink()
    target(folders).symlink_to("/nowhere")
    report = folders.sync()
    assert (report.files_added, report.bytes_written) == (1, SIZE + 5)
    assert target(folders).read_bytes() == source(folders)


class Cut:
    """A progress that breaks the connection after some bytes."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Break."""
        self.left -= amount
        if self.left < 0:
            raise TransportError("the connection broke")


@pytest.mark.parametrize("changed", [False, True])
def test_a_cut_download_goes_on_in_the_next_sync(folders_of_version2: Mirror, changed: bool) -> None:
    """Content before a cut is not fetched again, even by another process, unless the file changed."""
    folders = folders_of_version2
    put(folders, random.Random(1).randbytes(SIZE))
    with pytest.raises(SyncFailed) as failure:
        folders.sync(progress=Cut(2_000_000))
    assert failure.value.retryable
    (report,) = failure.value.reports
    assert isinstance(report, DirectoryReport)
    assert (report.files_added, target(folders).exists()) == (0, False)
    if changed:
        put(folders, random.Random(2).randbytes(SIZE), seconds=1)
    again = folders.sync()
    assert (again.files_added, again.verified) == (1, "digest")
    assert (again.bytes_received > SIZE) is changed
    assert target(folders).read_bytes() == source(folders)


def test_what_is_left_of_a_cut_download_is_not_trusted(folders_of_version2: Mirror) -> None:
    """The file's digest shows if a partial download was changed; the next sync is correct."""
    folders = folders_of_version2
    put(folders, random.Random(1).randbytes(SIZE))
    with pytest.raises(SyncFailed):
        folders.sync(progress=Cut(2_000_000))
    (left,) = target(folders).parent.iterdir()
    with left.open("r+b") as file:
        file.write(b"damaged")
    report = folders.sync()
    assert (report.status, report.files_added) == ("changed", 1)
    assert target(folders).read_bytes() == source(folders)


def test_a_large_file_that_is_damaged_on_its_way(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with another digest than announced does not get its name; the next sync is correct."""
    old = target(folders).read_bytes()
    put(folders, random.Random(2).randbytes(SIZE), seconds=1)
    with monkeypatch.context() as patched:
        patched.setattr(content_messages, "blake3", lambda: blake3(b"damaged"))
        with pytest.raises(SyncFailed, match="'large' was damaged on its way"):
            folders.sync()
    assert target(folders).read_bytes() == old
    assert folders.sync().verified == "digest"
    assert target(folders).read_bytes() == source(folders)


def test_a_server_that_does_not_digest(folders_of_version2: Mirror) -> None:
    """Without digests, a partial download cannot be verified, so the file is fetched as a whole."""
    folders = folders_of_version2
    folders.offered = {"hasher": "none"}
    put(folders, random.Random(1).randbytes(SIZE))
    with pytest.raises(SyncFailed):
        folders.sync(progress=Cut(2_000_000))
    report = folders.sync()
    assert report.bytes_received > SIZE
    assert target(folders).read_bytes() == source(folders)


def test_a_large_file_that_the_server_cannot_read(folders: Mirror) -> None:
    """A file that is gone before its download is named, and the target's version stays."""
    put(folders, source(folders) + b"grown", seconds=1)
    old = target(folders).read_bytes()

    def vanish(*_: object) -> None:
        (Path(folders.source.location) / "large").unlink(missing_ok=True)

    original = large_files.LargeFiles.fetch
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(large_files.LargeFiles, "fetch", lambda self, step: (vanish(), original(self, step)))
        report = folders.sync()
    assert report.warnings == ("'large' went from the source during the sync; the next run deletes what is left.",)
    assert target(folders).read_bytes() == old


def test_a_cut_download_goes_on_at_once(folders_of_version2: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cut download continues in the same sync while content arrives, and once more without content."""
    monkeypatch.setattr(attempts.random, "uniform", lambda low, high: 0)
    folders = folders_of_version2
    put(folders, random.Random(1).randbytes(SIZE))
    messages, asked = count(1), list[list[str]]()

    def cut(_: str) -> None:
        if next(messages) in (2, 3):
            raise IncompleteStreamError("The connection broke.")

    report = sync_with(folders, retries=1, before_read=asked.append, on_message=cut)
    assert (report.files_added, report.verified, len(asked)) == (1, "digest", 3)
    assert target(folders).read_bytes() == source(folders)


def test_a_file_that_changes_before_its_chunks_are_asked_for(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose size has changed since the listing is requested again in its current version."""
    put(folders, source(folders) + b"grown", seconds=1)
    original = large_files.LargeFiles.fetch
    changes = [b"grown again"]

    def change_and_fetch(self: large_files.LargeFiles, step: Step) -> None:
        if changes:
            put(folders, source(folders) + changes.pop(), seconds=2)
        original(self, step)

    monkeypatch.setattr(large_files.LargeFiles, "fetch", change_and_fetch)
    report = folders.sync()
    assert (report.files_updated, report.verified, report.warnings) == (1, "digest", ())
    assert target(folders).read_bytes() == source(folders)


def test_a_server_that_is_busy(folders: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that cannot cut the file ends the sync with a transient error; the old file stays."""
    old = target(folders).read_bytes()
    put(folders, source(folders) + b"grown", seconds=1)

    def busy(*_: object, **__: object) -> NoReturn:
        raise ServerError("It is busy.", 503)

    monkeypatch.setattr(SyncClient, "chunk_file", busy)
    with pytest.raises(SyncFailed, match="It is busy") as failure:
        folders.sync()
    assert failure.value.retryable
    assert target(folders).read_bytes() == old
