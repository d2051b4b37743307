"""Request the files of a source directory, or those below one of its folders as if that were the root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import PathFilter, select_files
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.frames import Frame
from airflow_provider_sync.sync.directories.problems import MAX_KEPT


class SourceFiles:
    """The files of one directory of the server.

    Paths are relative to the prefix, and patterns apply to these relative paths.

    :ivar client: the client that asks the source
    :ivar unreadable: paths that the source could not list or the target cannot hold, with reasons; directories end with ``/``
    :ivar more_unreadable: number of further files that the target cannot hold
    :ivar selects_nothing: whether the last manifest had files, but patterns select none of them
    :param name: name of the directory
    :param prefix: the folder; ``None`` for the root
    """

    def __init__(self, client: SyncClient, name: str, prefix: str | None, selection: PathFilter) -> None:
        self.client = client
        self._name = name
        self._selection = selection
        self._root = f"{prefix}/" if prefix else ""
        self._received = 0
        self.unreadable: dict[str, str] = {}
        self.more_unreadable = 0
        self.selects_nothing = False

    def manifest(self) -> dict[str, str]:
        """Request the digests of all files, by path, and check their names.

        Sets :attr:`unreadable` and :attr:`selects_nothing`.

        :raises FileError: for a name that could escape the root
        """
        start = len(self._root)
        found = self.client.get_manifest(self._name)
        below = {path[start:]: digest for path, digest in found.hashes.items() if path.startswith(self._root)}
        self.unreadable = {
            path[start:]: printable(why)
            for path, why in found.unreadable.items()
            if path.startswith(self._root) and self._is_about(path[start:])
        }

        self.more_unreadable = 0

        def on_unreadable(path: str, error: FileError) -> None:
            if len(self.unreadable) < MAX_KEPT:
                self.unreadable[path] = str(error)
            else:
                self.more_unreadable += 1

        self.selects_nothing = bool(below) and not any(map(self._selection.selects, below))
        return select_files(below, self._selection, on_unreadable=on_unreadable)

    def _is_about(self, path: str) -> bool:
        """Tell whether patterns may select a file, or files below a directory (a path that ends with ``/``)."""
        return self._selection.descends(path[:-1]) if path.endswith("/") else self._selection.selects(path)

    @contextmanager
    def get(self, paths: Sequence[str], *, repeat: bool = True) -> Iterator[Iterator[Frame]]:
        """Request the content of files; see ``SyncClient.get_files``."""
        with self.client.get_files(self._name, [self._root + path for path in paths], repeat=repeat) as frames:
            yield (self._below(frame) for frame in frames)

    def _below(self, frame: Frame) -> Frame:
        """Remove the prefix from a file's name, and count the file towards the limits.

        :raises GuardError: if that exceeds the limits
        """
        self._received += frame.size
        most = self.client.limits.max_directory_bytes
        if self._received > most:
            raise too_large(most, "limits.max_directory_bytes", what=f"Directory {self._name!r}")
        return Frame(frame.path.removeprefix(self._root), frame.size, frame.chunks)
