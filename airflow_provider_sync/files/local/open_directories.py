"""Directories of a tree that stay open while files are written to it, so that a file costs no walk from the root.

Each is opened by a step from the one above it, never through a symbolic link; see :mod:`.confined`.
"""

from __future__ import annotations

import errno
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from airflow_provider_sync.files.local.access import Access, limit_access
from airflow_provider_sync.files.local.confined import NOT_THERE
from airflow_provider_sync.files.local.linux_calls import sync_file_system, syncs_as_a_whole
from airflow_provider_sync.files.local.open_flags import DIRECTORY
from airflow_provider_sync.files.paths import is_temporary, temporary_name

_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP)

MAX_SYNCED_ONE_BY_ONE = 64
"""Most directories that are synced one by one; after changes in more, the whole file system is synced, if it can be."""

MAX_OPEN = 128
"""Most unused directories that stay open."""


MAX_NEW = 10_000
"""Most created directories that are remembered as new when they are opened again."""


AccessOf = Callable[[str], Access]
"""Returns who may use a directory at most, by its path."""


class OpenDirectory:
    """A directory in use, until :meth:`OpenDirectories.release`.

    :ivar descriptor: of the directory
    :ivar is_new: whether it was made by the writer, so that it held nothing before
    """

    __slots__ = ("_is_cached", "_users", "descriptor", "is_new")

    def __init__(self, descriptor: int, is_new: bool) -> None:
        self.descriptor = descriptor
        self.is_new = is_new
        self._users = 0
        self._is_cached = True


class OpenDirectories:
    """The directories below one root; may be used by several threads at once.

    Where a file or link is in the place of a directory, a directory under a temporary name stands in for it until the owner
    lets them change places. So the file stays where it is until everything that comes in its place is complete.

    :ivar made: directories that were made and may go again while nothing is in them, those above before those below
    :ivar stand_ins: paths whose directories are still under temporary names, which are the values
    :ivar lock: to be held while these are renamed

    :param root: descriptor of the root, which the caller closes
    :param durable: whether :meth:`sync_names` syncs; otherwise it does nothing
    :param check_obstacle: called with the descriptor above, the path and its name, where something else is in the place of a
        directory; raises an error if that may not give way
    """

    def __init__(self, root: int, check_obstacle: Callable[[int, str, str], None], *, durable: bool) -> None:
        self.made: list[str] = []
        self.stand_ins: dict[str, str] = {}
        self._root = OpenDirectory(root, is_new=False)
        self._check_obstacle = check_obstacle
        self._open: dict[str, OpenDirectory] = {}
        self.lock = threading.Lock()
        self._durable = durable
        self._most_synced = MAX_SYNCED_ONE_BY_ONE if durable and syncs_as_a_whole(root) else sys.maxsize
        self._changed: set[str] = set()
        self._new: dict[str, int] = {}

    def use(self, path: str, *, make: bool = True, access_of: AccessOf | None = None) -> OpenDirectory:
        """Return the directory at ``path``, empty for the root; it stays open until :meth:`release`.

        :param make: whether to make it, and those above it, where they are missing
        :param access_of: returns who may use a missing one at most, in addition to this process; by default everybody
        :raises OSError: when there is none, or it cannot be made
        """
        with self.lock:
            found = self._open.get(path) or (self._descend(path, make, access_of) if path else self._root)
            found._users += 1
            return found

    def release(self, directory: OpenDirectory) -> None:
        """End the use of a directory."""
        with self.lock:
            directory._users -= 1
            if not directory._users and not directory._is_cached:
                os.close(directory.descriptor)

    @contextmanager
    def using(self, path: str, *, make: bool = False, access_of: AccessOf | None = None) -> Iterator[int]:
        """Yield the descriptor of a directory for a ``with`` block; see :meth:`use`."""
        directory = self.use(path, make=make, access_of=access_of)
        try:
            yield directory.descriptor
        finally:
            self.release(directory)

    def forget(self, path: str) -> None:
        """Close a directory that was removed or moved, and all below it, once they are no longer in use."""
        below = f"{path}/"
        with self.lock:
            self._new.clear()
            for other in [other for other in self._open if other == path or other.startswith(below)]:
                self._drop(other)

    def note_names(self, path: str) -> None:
        """Note that names in the directory at ``path`` were changed."""
        # One more than the limit shows that there are too many.
        if self._durable and len(self._changed) <= self._most_synced:
            self._changed.add(path)

    def sync_names(self) -> None:
        """Make all names durable that were changed.

        :raises OSError: when the disk does not take them
        """
        changed, self._changed = self._changed, set()
        if len(changed) > self._most_synced:
            sync_file_system(self._root.descriptor)
            return
        for path in changed:
            try:
                with self.using(path) as directory:
                    os.fsync(directory)
            except OSError as error:
                if error.errno not in NOT_THERE:
                    raise

    def close(self) -> None:
        """Close all of them; none may be in use any more."""
        with self.lock:
            for path in list(self._open):
                self._drop(path)

    def _descend(self, path: str, make: bool, access_of: AccessOf | None) -> OpenDirectory:
        """Open a directory from the nearest one above it that is open."""
        at = path.rpartition("/")[0]
        while at and at not in self._open:
            at = at.rpartition("/")[0]
        found = self._open[at] if at else self._root
        for name in path[len(at) :].strip("/").split("/"):
            at = f"{at}/{name}" if at else name
            found = self._step(found.descriptor, at, name, make, access_of)
            self._open[at] = found
            if len(self._open) > MAX_OPEN:
                # Neighbours in the order of paths are used together, so the one that was opened first is not needed any more.
                self._drop(next(other for other in self._open if other != at))
        return found

    def _step(self, above: int, path: str, name: str, make: bool, access_of: AccessOf | None) -> OpenDirectory:
        name = self.stand_ins.get(path, name)
        try:
            return self._opened(os.open(name, DIRECTORY, dir_fd=above), path)
        except FileNotFoundError:
            if not make:
                raise
        except OSError as error:
            if error.errno not in _IN_THE_WAY or not make:
                raise
            self._check_obstacle(above, path, name)
            name = temporary_name()
        return self._make(above, path, name, access_of(path) if access_of is not None else None)

    def _make(self, above: int, path: str, name: str, access: Access | None) -> OpenDirectory:
        try:
            os.mkdir(name, 0o777 if access is None else access.mode & 0o777, dir_fd=above)
        except FileExistsError:
            # Another thread or process was faster.
            return OpenDirectory(os.open(name, DIRECTORY, dir_fd=above), is_new=False)
        self.made.append(path)
        self.note_names(path.rpartition("/")[0])
        if is_temporary(name):
            self.stand_ins[path] = name
        descriptor = os.open(name, DIRECTORY, dir_fd=above)
        if access is not None:
            limit_access(descriptor, access)
        if len(self._new) < MAX_NEW:
            self._new[path] = os.fstat(descriptor).st_ino
        return OpenDirectory(descriptor, is_new=True)

    def _opened(self, descriptor: int, path: str) -> OpenDirectory:
        """Return a directory that was there, perhaps since this writer made it."""
        inode = self._new.get(path)
        return OpenDirectory(descriptor, is_new=inode is not None and inode == os.fstat(descriptor).st_ino)

    def _drop(self, path: str) -> None:
        directory = self._open.pop(path)
        directory._is_cached = False
        if not directory._users:
            os.close(directory.descriptor)


def refuse(above: int, path: str, name: str) -> None:
    """Refuse to replace anything by a directory: for ``check_obstacle``.

    :raises NotADirectoryError: always
    """
    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
