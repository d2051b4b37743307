"""Directories that a server offers, asked by the client of version 2."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.files.local.reading import LocalOpener
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.file_messages import (
    Content,
    ContentFailed,
    FileEntry,
    Links,
    ListFiles,
    ReadFiles,
    RequestedFile,
)
from airflow_provider_sync.server.process.uvicorn_server import RunningServer

OLD_NS = 1_700_000_000_123_456_789
"""A time of modification at which a file is not racy."""


@contextmanager
def serving(root: Path | str, **options: Any) -> Iterator[str]:
    """Run a server that offers ``root`` as ``d``, and give its URL."""
    with RunningServer(ServerConfig.from_dict({"directories": {"d": {"path": str(root), **options}}})) as server:
        yield server.url


@contextmanager
def served(root: Path, **options: Any) -> Iterator[SyncClient]:
    """Run a server that offers ``root`` as ``d``, and give a client of it."""
    with serving(root, **options) as url, SyncClient(url, retries=0) as client:
        yield client


def make(root: Path, files: Mapping[str, bytes]) -> None:
    """Write files that are old enough not to be racy."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        os.utime(file, ns=(OLD_NS, OLD_NS))


def listing(client: SyncClient, *, folder: str | None = None, links: Links = "skip") -> dict[str, FileEntry]:
    """Return the entries of a listing by their paths, in its order."""
    with client.list_files(ListFiles(directory="d", folder=folder, links=links)) as answer:
        return {entry.path: entry for entries in answer for entry in entries}


def requested(entry: FileEntry, *ranges: tuple[int, int]) -> RequestedFile:
    """Return the request for a listed file."""
    return RequestedFile(path=entry.path, size=entry.size, mtime_ns=entry.mtime_ns, ranges=ranges or None)


def read(
    client: SyncClient, *files: RequestedFile, folder: str | None = None, links: Links = "skip"
) -> list[bytes | ContentFailed]:
    """Return the content of each file, or why it was not sent."""
    received: list[bytes | ContentFailed] = [b""] * len(files)
    with client.read_files(ReadFiles(directory="d", files=files, folder=folder, links=links)) as answer:
        for message in answer:
            if isinstance(message, Content):
                before = received[message.number]
                assert isinstance(before, bytes)
                received[message.number] = before + message.data
            else:
                received[message.number] = message
    return received


def opening(monkeypatch: pytest.MonkeyPatch, change: Callable[[VersionedFile], VersionedFile]) -> None:
    """Let the server open other files than there are."""
    open_version = LocalOpener.__call__
    monkeypatch.setattr(LocalOpener, "__call__", lambda self, path: change(open_version(self, path)))


class Broken:
    """A file that cannot be read beyond some bytes, with an error or as if it ended there.

    :param good: bytes that can be read
    :param code: of the error; 0 for the end
    """

    def __init__(self, file: BinaryIO, good: int, code: int) -> None:
        self._file, self._left, self._code = file, good, code

    def read(self, size: int) -> bytes:
        """Read as far as possible."""
        if self._left <= 0:
            if self._code:
                raise OSError(self._code, os.strerror(self._code))
            return b""
        self._left -= size
        return self._file.read(size)

    def readinto(self, buffer: bytearray) -> int:
        """Read as far as possible."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
