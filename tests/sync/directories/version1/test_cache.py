"""The cache of digests with version 1: what was read once is not read again, on either half."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.local.local_storage import LocalStorage
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import directory_differs, sync_directory
from airflow_provider_sync.sync.directories.steps import compare_directory
from tests.sync.directories.mirror import NAME, target_directory


class CountingStorage(LocalStorage):
    """A local disk that counts the files that are opened."""

    opened = 0

    def open_version(self, path: str, **options: Any) -> VersionedFile:
        """Count, and open."""
        type(self).opened += 1
        return super().open_version(path, **options)


@pytest.fixture
def source(tmp_path: Path) -> CountingStorage:
    """Three files that have not changed for long."""
    CountingStorage.opened = 0
    (tmp_path / "source" / "b").mkdir(parents=True)
    for name in ("a", "b/c", "d"):
        (tmp_path / "source" / name).write_text(name)
        os.utime(tmp_path / "source" / name, ns=(1, 1))
    return CountingStorage(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> LocalStorage:
    """Where they go."""
    return LocalStorage(tmp_path / "target")


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[DigestCache]:
    """The target's cache."""
    with DigestCache(str(tmp_path / "cache")) as opened:
        yield opened


@pytest.fixture
def client(source: CountingStorage, tmp_path: Path) -> Iterator[SyncClient]:
    """A client of version 1, of a server with a cache of its own."""
    config = ServerConfig.from_dict({"directories": {NAME: {"path": "source"}}, "cache": str(tmp_path / "server cache")})
    with RunningServer(config, open_storage=lambda _: source) as server, SyncClient(server.url, protocol=1) as opened:
        yield opened


def settle(target: LocalStorage) -> None:
    """Let time pass for the files of a target."""
    for entry in target.walk():
        if entry.kind == "file":
            os.utime(target.root / entry.path, ns=(1, 1))


def sync(client: SyncClient, target: LocalStorage, cache: DigestCache | None, **options: Any) -> DirectoryReport:
    """Sync the directory."""
    return sync_directory(client, target_directory(options), target, cache=cache)


def test_an_unchanged_directory_is_not_read_again(
    client: SyncClient, source: CountingStorage, target: LocalStorage, cache: DigestCache
) -> None:
    """A sync reads each unchanged file of either side at most once, and after a change only the changed one."""
    sync(client, target, cache)
    settle(target)
    assert sync(client, target, cache).files_read == 3
    CountingStorage.opened = 0
    unchanged = sync(client, target, cache)
    assert (unchanged.status, unchanged.files_read, CountingStorage.opened, unchanged.verified) == ("unchanged", 0, 0, "hash")
    assert not directory_differs(client, target_directory(), target, cache=cache)
    assert compare_directory(client, target_directory(), target, cache=cache).report.files_read == 0
    assert CountingStorage.opened == 0
    (target.root / "a").write_text("A")
    os.utime(target.root / "a", ns=(1, 1))
    changed = sync(client, target, cache)
    assert (changed.files_updated, changed.files_read) == (1, 1)
    assert (target.root / "a").read_text() == "a"


def test_all_files_are_read_if_that_is_asked_for(client: SyncClient, target: LocalStorage, cache: DigestCache) -> None:
    """With `checksum: always`, the target's files are read, and hidden damage on the disk is repaired."""
    sync(client, target, cache)
    settle(target)
    sync(client, target, cache)
    good = (target.root / "a").stat()
    root = cache.root(target.location, algorithm="md5", scope=repr(((), ())))
    (known,) = [entry for entry in root.known(target.walk()) if entry.path == "a"]
    (target.root / "a").write_text("A")
    os.utime(target.root / "a", ns=(good.st_mtime_ns, good.st_mtime_ns))
    # As after a flipped bit: other content, and the version that was recorded.
    (now,) = [entry for entry in target.walk() if entry.path == "a"]
    root.record([replace(now, digest=known.digest)])
    assert sync(client, target, cache).status == "unchanged"
    repaired = sync(client, target, cache, checksum="always")
    assert (repaired.files_updated, repaired.files_read) == (1, 3)
    assert (target.root / "a").read_text() == "a"


def test_without_a_cache(client: SyncClient, target: LocalStorage) -> None:
    """Without a cache, every file is read each time."""
    sync(client, target, None)
    for _ in range(2):
        assert sync(client, target, None).files_read == 3


def test_hashers_of_the_user_are_not_remembered(client: SyncClient, target: LocalStorage, cache: DigestCache) -> None:
    """Results of a user's hasher are not cached, because they may depend on anything."""
    sync(client, target, cache)
    settle(target)
    directory = target_directory({"hasher": "tests.sync.directories.file_hashers.LengthHasher"})
    for _ in range(2):
        assert compare_directory(client, directory, target, cache=cache).report.files_read == 3
