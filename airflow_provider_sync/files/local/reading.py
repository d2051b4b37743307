"""Open the files of a local disk for reading, without leaving the root."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, cast

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.confined import open_directory
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file
from airflow_provider_sync.files.local.links import resolve
from airflow_provider_sync.files.local.open_flags import READ, ROOT
from airflow_provider_sync.files.paths import check_name, is_temporary
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.file_messages import Links


def open_version(
    root: Path, path: str, location: str, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING
) -> VersionedFile:
    """Open a regular file together with its entry; see :meth:`.Storage.open_version`.

    :param location: the root, for messages
    """
    components = check_name(path)
    racy_times = RacyTimes.now()
    try:
        top = open_root(root)
        try:
            if links == "follow":
                descriptor, status = _open_behind_links(top, components, root, path_filter)
            else:
                descriptor, status = open_regular(top, components)
        finally:
            os.close(top)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise FileError(
                f"Cannot read {path!r} in {location}: a symbolic link leads out of the directory."
                " Put the file itself in its place."
            ) from None
        raise _read_error(root, path, location, error) from error
    return _opened(path, descriptor, status, racy_times)


class LocalOpener:
    """Opens many files, one after the other, as :func:`open_version` does, not through links; the last directory stays open.

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
            raise _read_error(self._root_path, path, self._location, error) from error
        return _opened(path, descriptor, status, self._racy_times)

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


def _opened(path: str, descriptor: int, status: os.stat_result, racy_times: RacyTimes) -> VersionedFile:
    mtime_ns, ctime_ns, size = status.st_mtime_ns, status.st_ctime_ns, status.st_size

    def is_unchanged() -> bool:
        now = os.fstat(descriptor)
        return now.st_mtime_ns == mtime_ns and now.st_ctime_ns == ctime_ns and now.st_size == size

    file = cast("BinaryIO", io.FileIO(descriptor, "rb"))
    return VersionedFile(file, entry_of_file(path, status, racy_times), is_unchanged)


def _read_error(root: Path, path: str, location: str, error: OSError) -> FileError:
    """Return the error for a file that cannot be opened, or for the root if that cannot be."""
    at_root = str(error.filename) == str(root)
    return file_error("read", "" if at_root else path, location, error)


def open_regular(root: int, components: tuple[str, ...]) -> tuple[int, os.stat_result]:
    """Open a regular file below a directory, not through links; return its descriptor, which the caller closes, and its status.

    :raises OSError: also for what is no regular file
    """
    if len(components) == 1:
        return open_in(root, components[0])
    directory = open_directory(root, components[:-1])
    try:
        return open_in(directory, components[-1])
    finally:
        os.close(directory)


def _open_behind_links(
    root: int, components: tuple[str, ...], root_path: Path, path_filter: PathFilter
) -> tuple[int, os.stat_result]:
    directory, real, name = resolve(root, (), components, (str(root_path), os.path.realpath(root_path)), path_filter)
    try:
        if name is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # An excluded file must not be readable under another name.
        if path_filter.excludes("/".join([*real, name])) or any(map(is_temporary, (*real, name))):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return open_in(directory, name)
    finally:
        os.close(directory)


def open_root(root: Path) -> int:
    """Open the root, which may be a link; the caller closes the descriptor."""
    return os.open(root, ROOT)


def open_in(directory: int, name: str) -> tuple[int, os.stat_result]:
    """Open a regular file of a directory; see :func:`open_regular`."""
    descriptor = os.open(name, READ, dir_fd=directory)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.ENXIO
    raise OSError(code, os.strerror(code))
