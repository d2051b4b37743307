"""What writers need of a store that has no class of its own here, by the common calls of fsspec."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from airflow_provider_sync.exceptions import FileChangedError
from airflow_provider_sync.files.storage import FileReader, FileWriter
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import MayReplace


class Replaceable(Collection[str]):
    """The files that may be removed where they are in the way, as :meth:`.storage.Storage.write` asks for them."""

    def __init__(self, may_replace: MayReplace) -> None:
        self._may_replace = may_replace

    def __contains__(self, path: object) -> bool:
        return isinstance(path, str) and self._may_replace(path)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("They are not listed.")

    def __len__(self) -> int:
        raise TypeError("They are not counted.")


class WholeFiles(Protocol):
    """The methods of a storage that write whole files."""

    def read(self, path: str) -> FileReader:
        """Open a file for sending."""
        ...

    def write(self, path: str, *, size: int | None = None, replaces: Collection[str] = ()) -> AbstractContextManager[FileWriter]:
        """Replace a file as a whole."""
        ...

    def delete(self, path: str) -> None:
        """Remove a file."""
        ...

    def look_up(self, path: str) -> TreeEntry:
        """Return the entry of a file as it is now."""
        ...


class CommonApi:
    """Writes whole files, one request or more for each; see :class:`~.objects.api.ObjectApi`.

    :param files: the storage
    :param may_replace: see :data:`~.tree_writer.MayReplace`
    """

    max_deletes = 1

    def __init__(self, files: WholeFiles, may_replace: MayReplace) -> None:
        self._files = files
        self._replaces = Replaceable(may_replace)

    def put(self, path: str, data: bytes, mtime_ns: int | None) -> tuple[int, bytes]:
        """Write a file."""
        with self._files.write(path, size=len(data), replaces=self._replaces) as writer:
            writer.write(data)
        entry = self._files.look_up(path)
        return entry.mtime_ns, entry.version

    def copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        """Copy a file by reading it."""
        with self._files.read(from_path) as reader:
            if version and self._files.look_up(from_path).version != version:
                raise FileChangedError(f"{from_path!r} changed since it was compared. Compare again.")
            with self._files.write(path, size=reader.size, replaces=self._replaces) as writer:
                for block in reader:
                    writer.write(block)
        return self._files.look_up(path)

    def delete(self, paths: Sequence[str]) -> dict[str, str]:
        """Remove files."""
        for path in paths:
            self._files.delete(path)
        return {}
