"""Open the files of a local disk for reading, without leaving the root."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path
from typing import BinaryIO, cast

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.confined import open_directory
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file
from airflow_provider_sync.files.local.links import resolve
from airflow_provider_sync.files.paths import check_name, is_temporary
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.protocol.v2.file_messages import Links

_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A FIFO would block an open for reading without O_NONBLOCK; on regular files it has no effect.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


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
        at_root = str(error.filename) == str(root)
        raise file_error("read", "" if at_root else path, location, error) from error
    entry = entry_of_file(path, status, racy_times)

    def is_unchanged() -> bool:
        # Its mode and its names may change.
        return entry_of_file(path, os.fstat(descriptor), racy_times).version == entry.version

    return VersionedFile(cast("BinaryIO", io.FileIO(descriptor, "rb")), entry, is_unchanged)


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
    directory, real, name = resolve(root, (), components, (str(root_path), os.path.realpath(root_path)))
    try:
        if name is None:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        # What is excluded is not to be had under another name.
        if path_filter.excludes("/".join([*real, name])) or any(map(is_temporary, (*real, name))):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        return open_in(directory, name)
    finally:
        os.close(directory)


def open_root(root: Path) -> int:
    """Open the root, which may be a link; the caller closes the descriptor."""
    return os.open(root, _ROOT)


def open_in(directory: int, name: str) -> tuple[int, os.stat_result]:
    """Open a regular file of a directory; see :func:`open_regular`."""
    descriptor = os.open(name, _READ, dir_fd=directory)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status
    os.close(descriptor)
    code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.ENXIO
    raise OSError(code, os.strerror(code))
