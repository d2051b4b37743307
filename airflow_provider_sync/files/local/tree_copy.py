"""A second tree with the files of a first one: the same files under new names (hard links), or copies where that cannot be.

A hard link costs no content; but what is done to the file's times and permissions is done to both.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local.access import access_of, give_access
from airflow_provider_sync.files.local.copies import NO_LINKS, copy_stretch
from airflow_provider_sync.files.local.metadata import OWNER_BITS
from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse
from airflow_provider_sync.files.local.open_flags import CREATE, READ
from airflow_provider_sync.files.local.tree_names import TreeNames, names_below
from airflow_provider_sync.files.paths import is_resumable

_DEFAULT_ACL = "system.posix_acl_default"

OnCopied = Callable[[str, os.stat_result], None]
"""Called with each regular file: its path, and its status before it was copied."""


class TreeCopy:
    """Copies one tree; unfinished downloads are moved, not copied, and other temporary files are left out.

    :param source: descriptor of the root that is copied
    :param target: descriptor of an empty directory
    :param location: the source, for messages
    :param into: directories below ``target``
    :param on_copied: see :data:`OnCopied`; in the order of paths
    :ivar names: names of the copied entries at the source
    """

    def __init__(
        self, source: int, target: int, *, location: str, into: OpenDirectories, on_copied: OnCopied | None = None
    ) -> None:
        self._source = source
        self._target = target
        self._location = location
        self._into = into
        self._on_copied = on_copied
        self._device = os.fstat(source).st_dev
        self.names = TreeNames()

    def make(self) -> None:
        """Copy everything; directories get their permissions and times last.

        :raises FileError: where another disk is mounted below the root
        :raises OSError: with the path as ``filename``
        """
        from_directories = OpenDirectories(self._source, refuse, durable=False)
        try:
            for path, is_directory in names_below(from_directories):
                try:
                    if is_directory:
                        self._copy_directory(path, from_directories)
                    else:
                        self._copy_file(path, from_directories)
                except OSError as error:
                    error.filename = path
                    raise
            for path, is_directory in names_below(from_directories):
                if is_directory:
                    self._finish_directory(path, from_directories)
        finally:
            from_directories.close()
        _copy_attributes(self._source, self._target)

    def _copy_directory(self, path: str, from_directories: OpenDirectories) -> None:
        with suppress(FileNotFoundError), from_directories.using(path) as source:  # another process may have removed it
            status = os.fstat(source)
            if status.st_dev != self._device:
                raise FileError(
                    f"atomic: another disk is mounted at {path!r} in {self._location}, which cannot move with the directory. "
                    "Sync it as a directory of its own, or without `atomic`."
                )
            with self._into.using(path, make=True) as target:
                # Its owner must be able to fill it, whatever its permissions are.
                _copy_attributes(source, target, at_least=OWNER_BITS)
            self.names.add(path, status.st_ino)

    def _copy_file(self, path: str, from_directories: OpenDirectories) -> None:
        above, _, name = path.rpartition("/")
        with suppress(FileNotFoundError), from_directories.using(above) as source, self._into.using(above) as target:
            status = os.stat(name, dir_fd=source, follow_symlinks=False)
            if is_resumable(name):
                os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
                return
            try:
                os.link(name, name, src_dir_fd=source, dst_dir_fd=target, follow_symlinks=False)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                _copy(name, source, target, status)
            # Only now: on an overlay, a second name may give a file another inode.
            self.names.add(path, os.stat(name, dir_fd=source, follow_symlinks=False).st_ino)
            if self._on_copied is not None and stat.S_ISREG(status.st_mode):
                self._on_copied(path, status)

    def _finish_directory(self, path: str, from_directories: OpenDirectories) -> None:
        # Another process may have removed it.
        with suppress(FileNotFoundError), from_directories.using(path) as source, self._into.using(path) as target:
            status = os.fstat(source)
            os.fchmod(target, give_access(target, access_of(source)))
            _copy_times(target, status)


def _copy(name: str, source_directory: int, target_directory: int, status: os.stat_result) -> None:
    """Copy a file or link with its times, permissions, owner and attributes."""
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(name, dir_fd=source_directory), name, dir_fd=target_directory)
        return
    source = os.open(name, READ, dir_fd=source_directory)
    try:
        target = os.open(name, CREATE, 0o600, dir_fd=target_directory)
        try:
            if not stat.S_ISREG(os.fstat(source).st_mode):
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
            copy_stretch(source, target, 0, status.st_size)
            _copy_attributes(source, target)
        finally:
            os.close(target)
    finally:
        os.close(source)


def _copy_attributes(source: int, target: int, *, at_least: int = 0) -> None:
    """Copy owner, extended attributes, permissions and times, as far as this process may; nobody else may use the target.

    :param at_least: permission bits that the target gets in any case
    """
    status = os.fstat(source)
    names = _extended_attributes(source)
    if _DEFAULT_ACL not in names and _DEFAULT_ACL in _extended_attributes(target):
        # From the directory above it.
        os.removexattr(target, _DEFAULT_ACL)
    mode = give_access(target, access_of(source))
    for name in names:
        with suppress(OSError):
            os.setxattr(target, name, os.getxattr(source, name))
    os.fchmod(target, mode | at_least)
    _copy_times(target, status)


def _extended_attributes(descriptor: int) -> list[str]:
    if not hasattr(os, "listxattr"):
        return []
    try:
        return os.listxattr(descriptor)
    except OSError:
        return []  # the file system has none


def _copy_times(target: int, status: os.stat_result) -> None:
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
