"""Set times, permissions and owners of files and directories on a local disk."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from airflow_provider_sync.files.local.access import Access, give_access, give_owner
from airflow_provider_sync.files.local.entries import EPOCH_NS, PERMISSION_BITS
from airflow_provider_sync.files.local.open_flags import READ
from airflow_provider_sync.files.tree_writer import Metadata

# Also opens files without read permission, but calls on the descriptor must use its path below /proc.
_OPEN_PLACE = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC
OWNER_BITS = 0o700
"""Permissions that the owner of a directory needs to fill and to empty it."""


def set_on_file(descriptor: int, metadata: Metadata, replaced: Access | None) -> None:
    """Give a new file its times and permissions.

    :param replaced: the file that it replaces, whose owner and group it gets where this process may give files away, and whose
        permissions it gets if ``metadata`` has none: nobody may read the new file who could not read that one
    :raises OSError: when the file system refuses them
    """
    mode = metadata.mode
    if replaced is not None:
        if mode is None:
            mode = give_access(descriptor, replaced)
        else:
            give_owner(descriptor, replaced)
    if mode is not None:
        os.fchmod(descriptor, mode & PERMISSION_BITS)
    _set_mtime(descriptor, metadata)


def set_on_directory(descriptor: int, metadata: Metadata, *, at_least: int = 0) -> None:
    """Set times and permissions of a directory; the bits that let files inherit its group stay.

    :param at_least: permission bits that it gets in any case
    :raises OSError: when the file system refuses them
    """
    if metadata.mode is not None:
        present = stat.S_IMODE(os.fstat(descriptor).st_mode)
        os.fchmod(descriptor, (present & ~PERMISSION_BITS) | (metadata.mode & PERMISSION_BITS) | at_least)
    _set_mtime(descriptor, metadata)


def set_on_present(directory: int, name: str, metadata: Metadata) -> os.stat_result:
    """Set times and permissions of a regular file that is there, whether this process may read it or not.

    :raises OSError: when it is no regular file, or the file system refuses them
    """
    place: int | Path
    try:
        place = descriptor = os.open(name, READ, dir_fd=directory)
    except PermissionError:
        descriptor = os.open(name, _OPEN_PLACE, dir_fd=directory)
        place = Path(f"/proc/self/fd/{descriptor}")
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        if metadata.mode is not None:
            mode = metadata.mode & PERMISSION_BITS
            os.fchmod(place, mode) if isinstance(place, int) else place.chmod(mode)
        _set_mtime(place, metadata)
        return os.fstat(descriptor)
    finally:
        os.close(descriptor)


def _set_mtime(place: int | Path, metadata: Metadata) -> None:
    if metadata.mtime_ns is not None:
        os.utime(place, ns=(time.time_ns(), 0 if metadata.mtime_ns == EPOCH_NS else metadata.mtime_ns))
