"""The calls of :class:`~.objects.api.ObjectApi` by fsspec's common ones, for stores that have no class of their own here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.objects.streams import StoreWriter
from airflow_provider_sync.files.storage import FileReader
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import MayReplace


class WholeFiles(Protocol):
    """The methods of a storage that write whole files."""

    def read(self, path: str) -> FileReader:
        """Open a file for sending."""
        ...

    def upload(self, path: str, size: int, may_replace: MayReplace) -> AbstractContextManager[StoreWriter]:
        """Replace a whole file."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file."""
        ...

    def look_up(self, path: str) -> TreeEntry:
        """Return the entry of a file as it is now."""
        ...


class CommonApi:
    """Writes whole files, with one or more requests for each; see :class:`~.objects.api.ObjectApi`.

    :param files: the storage
    :param may_replace: see :data:`~.tree_writer.MayReplace`
    """

    max_deletes = 1

    def __init__(self, files: WholeFiles, may_replace: MayReplace) -> None:
        self._files = files
        self._may_replace = may_replace

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write a file."""
        with self._files.upload(path, len(data), self._may_replace) as writer:
            writer.write(data)
        entry = self._files.look_up(path)
        return entry.mtime_ns, entry.version

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy a file by reading and writing it."""
        with self._files.read(from_path) as reader:
            if version and self._files.look_up(from_path).version != version:
                raise FileChangedError(f"{from_path!r} changed since it was compared. Compare again.")
            with self._files.upload(path, reader.size, self._may_replace) as writer:
                for block in reader:
                    writer.write(block)
        return self._files.look_up(path)

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Remove files."""
        for path in paths:
            self._files.delete(path)
        return {}
