"""The lock that lets one sync at a time write to a directory: it is on the directory itself, and leaves no file behind."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_sync.exceptions import DirectoryBusyError, FileChangedError, FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.confined import root_directory

log = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_NO_LOCKS = (errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOTSUP)


class DirectoryLock:
    """The lock on a directory.

    :param root: the directory
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # The descriptor that holds the lock.
        self._locked: list[int] = []

    @contextmanager
    def held(self, location: str, timeout: float) -> Iterator[None]:
        """Hold the lock inside the block; see :meth:`.LocalStorage.exclusive`.

        :param location: the directory, for messages
        :param timeout: seconds to wait for another sync
        """
        made: list[Path] = []
        try:
            descriptor = self._lock(location, timeout, made)
        except OSError as error:
            raise file_error("lock", "", location, error) from error
        self._locked.append(descriptor)
        try:
            try:
                yield
            except FileError:
                # If the root is gone, that is the reason for the error.
                self._check_root(location)
                raise
            self._check_root(location)
        except BaseException:
            with suppress(OSError):  # not empty, or another process removed it
                for path in reversed(made):
                    path.rmdir()
            raise
        finally:
            os.close(self._locked.pop())

    def move_to(self, descriptor: int) -> None:
        """Replace the lock on the root by one on the directory that took its place.

        :param descriptor: of that directory, which is locked; closed with the lock
        """
        if self._locked:
            descriptor, self._locked[-1] = self._locked[-1], descriptor
        os.close(descriptor)

    def _check_root(self, location: str) -> None:
        """Check that the directory that is locked is the root.

        :raises FileChangedError: when it is not
        """
        with suppress(OSError):
            if os.path.samestat(os.fstat(self._locked[-1]), self._root.stat()):
                return
        raise FileChangedError(f"{location} was removed or replaced during the sync, so that files may be missing. Run it again.")

    def _lock(self, location: str, timeout: float, made: list[Path]) -> int:
        """Lock the root.

        :param made: takes the directories that were made for it, those above first
        """
        deadline = time.monotonic() + timeout
        while True:
            made += _make_missing(self._root)
            with root_directory(self._root, create=True) as root:
                descriptor = os.dup(root)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # The directory may have been replaced while we waited.
                if os.path.samestat(os.fstat(descriptor), self._root.stat()):
                    return descriptor
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    raise DirectoryBusyError(
                        f"Another sync has held {location} for {timeout:g} seconds. Let it end, or stop it, and try again."
                    ) from None
                time.sleep(_POLL_SECONDS)
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in _NO_LOCKS:
                    log.warning("%s is on a file system without locks: make sure that one sync runs at a time", location)
                    return descriptor
                os.close(descriptor)
                raise
            os.close(descriptor)


def _make_missing(directory: Path) -> list[Path]:
    """Make a directory and those above it; return those that were missing, those above first."""
    missing = []
    while not directory.exists() and directory.name:
        missing.append(directory)
        directory = directory.parent
    made = []
    for path in reversed(missing):
        with suppress(FileExistsError):  # another process was faster, or it is a dangling link
            path.mkdir()
            made.append(path)
    return made
