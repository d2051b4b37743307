"""Write and delete files on fsspec file systems that have directories and show a file while it is written."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile

from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.objects.streams import StoreWriter, answering
from airflow_provider_sync.files.paths import parents
from airflow_provider_sync.files.tree_writer import MayReplace

_MIB = 1024 * 1024
_SPOOL_BYTES = 8 * _MIB


class PlainFiles:
    """The files below a root.

    :param location: the root, for messages
    :param root: the root in the file system
    :param key_of: checks a path, and returns its key in the file system
    """

    def __init__(self, filesystem: AbstractFileSystem, location: str, root: str, key_of: Callable[[str], str]) -> None:
        self._fs = filesystem
        self._location = location
        self._root = root
        self._key_of = key_of

    @contextmanager
    def write(self, path: str, size: int, may_replace: MayReplace) -> Iterator[StoreWriter]:
        """Replace a file: collect its content first, and copy it once it is complete."""
        self._obstacles(path, may_replace)
        with SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
            writer = StoreWriter(spool, path, self._location)
            yield writer
            writer.check(size)
            spool.seek(0)
            key = self._key_of(path)
            with answering("write", path, self._location):
                self._remove_obstacles(path, may_replace)
                self._fs.makedirs(self._fs._parent(key), exist_ok=True)
                with self._fs.open(key, "wb") as file:
                    shutil.copyfileobj(spool, file, _MIB)

    def delete(self, path: str) -> None:
        """Remove a file, and the directories above it that become empty; a missing file is no error."""
        key = self._key_of(path)
        with answering("delete", path, self._location):
            if self._fs.isfile(key):
                self._fs.rm_file(key)
                self._prune(path)

    def _obstacles(self, path: str, may_replace: MayReplace) -> list[str]:
        """Return the files that have to be removed before a file can be written.

        :raises FileError: if one of them must not be removed
        """
        with answering("write", path, self._location):
            obstacles = [parent for parent in parents(path) if self._fs.isfile(self._key_of(parent))]
            if self._fs.isdir(self._key_of(path)):
                obstacles += [key[len(self._root) + 1 :] for key in self._fs.find(self._key_of(path))]
        for obstacle in obstacles:
            if not may_replace(obstacle):
                raise FileError(
                    f"{obstacle!r} in {self._location} stands in the way of {path!r} and is not among the files to be deleted. "
                    "Move it away, or exclude one of the two."
                )
        return obstacles

    def _remove_obstacles(self, path: str, may_replace: MayReplace) -> None:
        for obstacle in self._obstacles(path, may_replace):
            self._fs.rm_file(self._key_of(obstacle))
            self._prune(obstacle)
        if self._fs.isdir(self._key_of(path)):
            self._fs.rmdir(self._key_of(path))

    def _prune(self, path: str) -> None:
        for parent in parents(path):
            try:
                self._fs.rmdir(self._key_of(parent))
            except OSError:
                # Not empty, so it and those above it stay.
                return
