"""A source behind a real socket, a target, and a client between them."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3fs import S3FileSystem

from airflow_provider_sync.files import Storage, open_storage
from tests.object_store import KEYS, object_store
from tests.sync.directories.mirror import Mirror
from tests.sync.link import Link, linked

__all__ = ["object_store"]


@pytest.fixture
def link(pair_urls: tuple[str, str]) -> Iterator[Link]:
    """Give source and target on every pair of engines."""
    with linked(*pair_urls) as link:
        yield link


@pytest.fixture
def same(sqlite_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    """Give source and target on SQLite, where the engine does not matter."""
    with linked(sqlite_url, f"sqlite:///{tmp_path_factory.mktemp('target') / 'target.db'}") as link:
        yield link


@pytest.fixture
def into(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Link]:
    """Give a source on SQLite and a target on each engine."""
    with linked(f"sqlite:///{tmp_path_factory.mktemp('source') / 'source.db'}", database_url) as link:
        yield link


@pytest.fixture
def two(link: Link) -> Link:
    """Give source and target on every pair of engines, and a client that takes version 2."""
    link.protocol = "2"
    return link


@pytest.fixture
def two_into(into: Link) -> Link:
    """Give a source on SQLite, a target on each engine, and a client that takes version 2."""
    into.protocol = "2"
    return into


@pytest.fixture
def two_same(same: Link) -> Link:
    """Give source and target on SQLite, and a client that takes version 2."""
    same.protocol = "2"
    return same


@pytest.fixture(params=["1", "auto"], ids=["version 1", "version 2"])
def folders(request: pytest.FixtureRequest, tmp_path: Path) -> Mirror:
    """Give two folders, by each version of the protocol; neither is there yet."""
    return two_folders(tmp_path, request.param)


@pytest.fixture
def folders_of_version1(tmp_path: Path) -> Mirror:
    """Give two folders, by version 1; neither is there yet."""
    return two_folders(tmp_path, "1")


@pytest.fixture
def folders_of_version2(tmp_path: Path) -> Mirror:
    """Give two folders, by version 2; neither is there yet."""
    return two_folders(tmp_path, "auto")


def two_folders(parent: Path, protocol: str) -> Mirror:
    """Return two folders that are not there yet."""
    storages = (open_storage(str(parent / name)) for name in ("source", "target"))
    return Mirror(*storages, protocol=protocol, cache=parent / "cache.db")


@pytest.fixture(
    params=["local-to-local-1", "local-to-local-2", "local-to-s3-1", "local-to-s3-2", "s3-to-local-1", "s3-to-local-2"]
)
def mirror(request: pytest.FixtureRequest, tmp_path: Path) -> Mirror:
    """Give two directories on every kind of storage, by each version of the protocol; neither is there yet."""
    source, _, target, version = request.param.split("-")

    def storage(kind: str, name: str) -> Storage:
        if kind == "local":
            return open_storage(str(tmp_path / name))
        filesystem: S3FileSystem = request.getfixturevalue("s3")
        bucket = f"sync-{secrets.token_hex(4)}"
        filesystem.mkdir(bucket)
        return open_storage(f"s3://{bucket}/{name}", filesystem)

    protocol = "1" if version == "1" else "auto"
    return Mirror(storage(source, "source"), storage(target, "target"), protocol=protocol, cache=tmp_path / "cache.db")


@pytest.fixture(scope="session")
def s3(object_store: str) -> Iterator[S3FileSystem]:
    """Give the client of an S3 server, which takes a second to make."""
    filesystem = S3FileSystem(key=KEYS["login"], secret=KEYS["password"], endpoint_url=object_store, skip_instance_cache=True)
    yield filesystem
    S3FileSystem.close_session(filesystem.loop, filesystem.s3)
