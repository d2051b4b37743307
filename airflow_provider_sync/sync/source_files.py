"""The files of a source, or those below one of its folders as if that were the root.

What to do with them is for `directories`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.files import Selection, selected
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v1.frames import Frame


class SourceFiles:
    """What a server offers of one directory.

    Paths here are without the prefix, and patterns apply to what is left.

    :ivar client: which asks
    :param name: of the directory
    :param prefix: the folder; ``None`` for the root
    """

    def __init__(self, client: SyncClient, name: str, prefix: str | None, selection: Selection) -> None:
        self.client = client
        self._name = name
        self._selection = selection
        self._root = f"{prefix}/" if prefix else ""
        self._received = 0

    def manifest(self) -> dict[str, str]:
        """Ask for the digests of all files, by path; names are checked."""
        start = len(self._root)
        found = self.client.get_file_hashes(self._name)
        below = {path[start:]: digest for path, digest in found.items() if path.startswith(self._root)}
        return selected(below, self._selection)

    @contextmanager
    def get(self, paths: Sequence[str]) -> Iterator[Iterator[Frame]]:
        """Ask for the content of files; see ``SyncClient.get_files``."""
        with self.client.get_files(self._name, [self._root + path for path in paths]) as frames:
            yield (self._below(frame) for frame in frames)

    def _below(self, frame: Frame) -> Frame:
        """Name a file without the prefix, and add it to what has come.

        :raises GuardError: when that is more than the limits allow
        """
        self._received += frame.size
        most = self.client.limits.max_directory_bytes
        if self._received > most:
            raise too_large(most, "limits.max_directory_bytes", what=f"Directory {self._name!r}")
        return Frame(frame.path.removeprefix(self._root), frame.size, frame.chunks)
