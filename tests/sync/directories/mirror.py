"""Two directories, the server half before one of them, the client half before the other."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig, directory_from_options
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from airflow_provider_sync.sync import sync_directory
from tests.files.conftest import get, remove
from tests.files.conftest import put as put_bytes

NAME = "d"
PROJECT = Path(__file__).parents[3]

SYNC_AND_DIE = """
import json, sys
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import directory_from_options
from airflow_provider_sync.files import open_storage
from airflow_provider_sync.sync import sync_directory
from tests.files.conftest import get, remove
from tests.files.conftest import put as put_bytes
url, protocol, path, options = sys.argv[1:]
with SyncClient(url, retries=0, protocol=protocol) as client:
    sync_directory(client, directory_from_options("d", json.loads(options)), open_storage(path))
"""


class Mirror:
    """A source and a target.

    :ivar offered: options of the directory that the server offers
    :ivar protocol: version that the client takes
    :ivar cache: of the client
    """

    def __init__(self, source: Storage, target: Storage, *, protocol: str = "auto", cache: Path | None = None) -> None:
        self.source = source
        self.target = target
        self.protocol = protocol
        self.cache = cache
        self.offered: dict[str, Any] = {}

    @property
    def version(self) -> int:
        """The version of the protocol by which a directory is synced."""
        return 1 if self.protocol == "1" else 2

    @property
    def verified(self) -> str:
        """What a report says of a sync whose outcome is proven."""
        return "hash" if self.version == 1 else "digest"

    def put(self, path: str, content: str = "content") -> None:
        """Write a file of the source."""
        put(self.source, path, content)

    def put_target(self, path: str, content: str = "content") -> None:
        """Write a file of the target."""
        put(self.target, path, content)

    def remove(self, path: str) -> None:
        """Remove a file of the source."""
        remove(self.source, path)

    def remove_target(self, path: str) -> None:
        """Remove a file of the target."""
        remove(self.target, path)

    @contextmanager
    def client(self) -> Iterator[SyncClient]:
        """Serve the source and give a client for it."""
        config = ServerConfig.from_dict({"directories": {NAME: {"path": "source", **self.offered}}})
        with (
            RunningServer(config, open_storage=lambda _: self.source) as server,
            SyncClient(server.url, retries=0, protocol=self.protocol) as client,
        ):
            yield client

    def opened_cache(self) -> DigestCache:
        """Open the client's digest cache; without a file it is empty, and keeps nothing."""
        return DigestCache(None if self.cache is None else str(self.cache))

    def sync(self, options: dict[str, Any] | None = None, **arguments: Any) -> DirectoryReport:
        """Sync the directory.

        :param options: of the target directory
        :param arguments: of :func:`sync_directory`
        """
        with self.client() as client, self.opened_cache() as cache:
            return sync_directory(client, target_directory(options), self.target, cache=cache, **arguments)

    def sync_in_process(self, options: dict[str, Any]) -> int:
        """Sync the directory in a process of its own, and return its exit code."""
        with self.client() as client:
            return run_process(client.url, self.target.location, options, protocol=self.protocol)

    def contents(self) -> dict[str, str]:
        """Read the target."""
        return contents(self.target)

    def assert_equal(self) -> None:
        """Check that both sides hold the same files."""
        assert contents(self.target) == contents(self.source)


def target_directory(options: dict[str, Any] | None = None) -> Any:
    """Build the options of a target directory; where it lies says its storage."""
    return directory_from_options(NAME, {"path": "target", **(options or {})})


def run_process(url: str, path: str, options: dict[str, Any], *, protocol: str = "auto") -> int:
    """Sync from the server at ``url`` in a process of its own, and return its exit code."""
    arguments = [url, protocol, path, json.dumps({"path": path, **options})]
    return subprocess.run([sys.executable, "-c", SYNC_AND_DIE, *arguments], cwd=PROJECT, check=False, timeout=60).returncode


def put(storage: Storage, path: str, content: str) -> None:
    """Write a file."""
    put_bytes(storage, path, content.encode())


def contents(storage: Storage) -> dict[str, str]:
    """Read all files."""
    files = {}
    for entry in storage.scan(missing_ok=True):
        files[entry.path] = get(storage, entry.path).decode()
    return files


def everything(folder: Path) -> list[str]:
    """Name all that a folder holds, hidden and temporary files too."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def source(mirror: Mirror) -> Path:
    """Return where the source is."""
    return Path(mirror.source.location)


def target(mirror: Mirror) -> Path:
    """Return where the target is."""
    return Path(mirror.target.location)
