"""Open many files of a local disk, one after the other, when most are beside the one before."""

from __future__ import annotations

import io
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.confined import open_directory
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file
from airflow_provider_sync.files.local.reading import open_in, open_root
from airflow_provider_sync.files.paths import check_name
from airflow_provider_sync.files.storage import VersionedFile


class LocalOpener:
    """Opens files as :func:`~.local.reading.open_version` does, not through links, with the last directory kept open.

    A context manager; not for several threads at once.

    :param root: the directory
    :param location: the directory, for messages
    """

    def __init__(self, root: Path, location: str) -> None:
        self._root_path = root
        self._location = location
        self._racy_times = RacyTimes.now()
        self._root = -1
        self._directory = -1
        self._above: tuple[str, ...] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._leave()
        if self._root >= 0:
            os.close(self._root)

    def __call__(self, path: str) -> VersionedFile:
        """Open a file; see :meth:`.Storage.open_version`."""
        components = check_name(path)
        try:
            if components[:-1] != self._above:
                self._enter(components[:-1])
            descriptor, status = open_in(self._directory, components[-1])
        except OSError as error:
            at_root = str(error.filename) == str(self._root_path)
            raise file_error("read", "" if at_root else path, self._location, error) from error
        mtime_ns, ctime_ns, size = status.st_mtime_ns, status.st_ctime_ns, status.st_size

        def is_unchanged() -> bool:
            now = os.fstat(descriptor)
            return now.st_mtime_ns == mtime_ns and now.st_ctime_ns == ctime_ns and now.st_size == size

        file = cast("BinaryIO", io.FileIO(descriptor, "rb"))
        return VersionedFile(file, entry_of_file(path, status, self._racy_times), is_unchanged)

    def _enter(self, components: tuple[str, ...]) -> None:
        self._leave()
        if self._root < 0:
            self._root = open_root(self._root_path)
        self._directory = open_directory(self._root, components)
        self._above = components

    def _leave(self) -> None:
        if self._above is not None:
            os.close(self._directory)
            self._above = None
