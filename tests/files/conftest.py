"""Storages for the tests: a local disk, an fsspec file system with directories, and a real S3 server."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fsspec import AbstractFileSystem
from fsspec.implementations.memory import MemoryFileSystem
from s3fs import S3FileSystem

from airflow_provider_sync.files import Storage, open_storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.tree_writer import Metadata, remove_emptied

if TYPE_CHECKING:
    from gcp_storage_emulator.server import Server

PROJECT = Path(__file__).parents[2]
# All is imported before: another user need not be able to read this interpreter's packages.
BECOME_USER = """
import ctypes, os, sys
import airflow_provider_sync.files.digest_cache, airflow_provider_sync.files.local.local_storage
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
"""


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """URL of an S3 server on a free port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def s3_filesystem(s3_endpoint: str) -> Iterator[S3FileSystem]:
    """The client of the S3 server, which takes a second to make."""
    filesystem = S3FileSystem(key="testing", secret="testing", endpoint_url=s3_endpoint, skip_instance_cache=True)
    yield filesystem
    S3FileSystem.close_session(filesystem.loop, filesystem.s3)


@pytest.fixture
def s3(s3_filesystem: S3FileSystem) -> Iterator[S3FileSystem]:
    """An S3 file system with a fresh bucket, ``bucket``."""
    s3_filesystem.mkdir("bucket")
    yield s3_filesystem
    for upload in s3_filesystem.list_multipart_uploads("bucket"):
        s3_filesystem.abort_mpu("bucket", upload["Key"], upload["UploadId"])
    s3_filesystem.invalidate_cache()
    s3_filesystem.rm("bucket", recursive=True)
    s3_filesystem.invalidate_cache()


@pytest.fixture(scope="session")
def gcs_server() -> Iterator[Server]:
    """A server of Google Cloud Storage on a free port."""
    from gcp_storage_emulator.server import create_server

    server = create_server("127.0.0.1", 0, in_memory=True)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def gcs_filesystem(gcs_server: Server) -> AbstractFileSystem:
    """The client of the server."""
    # It would look for kinds of buckets over gRPC, which the server does not speak.
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"
    from gcsfs import GCSFileSystem

    port = gcs_server._api._httpd.server_address[1]
    return GCSFileSystem(token="anon", endpoint_url=f"http://127.0.0.1:{port}", project="x", skip_instance_cache=True)


@pytest.fixture
def gcs(gcs_server: Server, gcs_filesystem: AbstractFileSystem) -> Iterator[AbstractFileSystem]:
    """A file system of Google Cloud Storage with a fresh bucket, ``bucket``."""
    gcs_filesystem.mkdir("bucket")
    yield gcs_filesystem
    gcs_server.wipe()
    gcs_filesystem.invalidate_cache()


@pytest.fixture
def memory() -> Iterator[MemoryFileSystem]:
    """An empty file system in memory, which has directories as disks do."""
    filesystem = MemoryFileSystem(skip_instance_cache=True)
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]
    yield filesystem
    filesystem.store.clear()
    filesystem.pseudo_dirs[:] = [""]


@pytest.fixture(params=["local", "memory", "s3"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """Each kind of storage, empty; its root does not exist yet."""
    if request.param == "local":
        return open_storage(str(tmp_path / "root"))
    filesystem = request.getfixturevalue(request.param)
    return open_storage(f"{request.param}://bucket/root", filesystem)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An existing, empty local directory."""
    directory = tmp_path / "root"
    directory.mkdir()
    return directory


@pytest.fixture
def public_root() -> Iterator[Path]:
    """A local directory that every user may write to."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory
        # Permissions that a test took away must not keep it from being removed.
        for path in [directory, *directory.rglob("*")]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o777)


@pytest.fixture
def run_as_user() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python code in a process for which permissions count, even when the tests run as root."""

    def run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", BECOME_USER + textwrap.dedent(code), *arguments],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return run


def put(
    storage: Storage, path: str, content: bytes = b"content", *, size: int | None = None, replaces: Collection[str] = ()
) -> None:
    """Write one file.

    :param size: that is announced; by default the right one
    :param replaces: files that may go
    """
    with storage.writer(durable=False, may_replace=replaces.__contains__) as writer:
        new_file = writer.create(path, size=len(content) if size is None else size, metadata=Metadata())
        for start in range(0, len(content), 1_000_003):
            new_file.write(content[start : start + 1_000_003])
        new_file.finish()


def break_off(
    storage: Storage,
    path: str,
    content: bytes = b"new",
    *,
    error: type[BaseException] = ZeroDivisionError,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """Write one file, do something ``meanwhile``, and fail before its end."""
    with storage.writer(may_replace=lambda path: False) as writer:
        writer.create(path, size=len(content), metadata=Metadata()).write(content)
        meanwhile()
        raise error


def remove(storage: Storage, path: str) -> None:
    """Remove one file, and the directories above it that become empty."""
    with storage.writer(durable=False, may_replace=lambda path: False) as writer:
        writer.remove(path)
        remove_emptied(writer, [path])


def get(storage: Storage, path: str) -> bytes:
    """Read one file."""
    with storage.read(path) as reader:
        return b"".join(reader)


def tree(root: Path) -> dict[str, bytes | None]:
    """Everything below a local directory: content of files, ``None`` for directories; a link by its target."""
    found: dict[str, bytes | None] = {}
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_symlink():
            found[name] = b"-> " + os.fsencode(path.readlink())
        else:
            found[name] = path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the cache is; its directory does not exist yet."""
    return tmp_path / "cache" / "digests.sqlite"


@pytest.fixture
def cache(path: Path) -> Iterator[DigestCache]:
    """An empty cache."""
    with DigestCache(str(path)) as opened:
        yield opened
