"""Walk a local disk in the order of paths, without leaving the root.

One ``fstatat`` for each file, relative to its directory's descriptor, and no object for it but its entry: what this module does
for a file counts ten thousand times. Names are sorted as text, which orders Unicode as its UTF-8 does.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.file_errors import file_error, is_about_one_file
from airflow_provider_sync.files.local.confined import NOT_THERE, open_directory
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_directory, entry_of_file, entry_of_link
from airflow_provider_sync.files.local.links import ExcludedError, resolve
from airflow_provider_sync.files.local.open_flags import DIRECTORY, ROOT
from airflow_provider_sync.files.paths import (
    MAX_COMPONENT_BYTES,
    MAX_PATH_BYTES,
    TEMPORARY_PREFIX,
    can_travel,
    check_name,
    is_temporary,
    link_stays_inside,
    readable_name,
)
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import OnUnreadable
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import Kind, Links

# Directories that stay open above the current one: a tree may be deeper than the process's limit on open files.
_OPEN_DIRECTORIES = 32
_WHY_NOT_FOLLOWED = {
    errno.EXDEV: "it leads out of the directory",
    errno.ELOOP: "it leads in a circle",
    errno.ENOENT: "nothing is there",
    errno.ENOTDIR: "nothing is there",
}


class _Directory:
    """A directory on the path to the current entry.

    :ivar path: relative to the root, with ``/`` at its end; empty for the root
    :ivar real: its components without links
    :ivar descriptor: -1 while it is closed
    :ivar identity: device and inode
    :ivar names: names of its entries that were not walked yet, in order
    :ivar kinds: of those names that are no regular files
    :ivar status: as it was before its names were read
    :ivar room: longest plain name, in bytes, of which the whole path may be sent
    """

    __slots__ = ("descriptor", "identity", "kinds", "names", "path", "real", "room", "status")

    def __init__(self, path: str, real: Sequence[str], descriptor: int) -> None:
        self.path = path
        self.real = real
        self.descriptor = descriptor
        self.status = os.fstat(descriptor)
        self.identity = self.status.st_dev, self.status.st_ino
        names, self.kinds = _names(descriptor)
        self.names = iter(names)
        try:
            self.room = min(MAX_COMPONENT_BYTES, MAX_PATH_BYTES - len(path.encode()))
        except UnicodeEncodeError:
            self.room = -1


def _names(directory: int) -> tuple[list[str], dict[str, Kind]]:
    """Return the sorted names in a directory, and the kinds of those that are not regular files; leave out special files."""
    names: list[str] = []
    kinds: dict[str, Kind] = {}
    with os.scandir(directory) as found:
        for item in found:
            name = item.name
            if name.startswith(TEMPORARY_PREFIX) and is_temporary(name):
                continue
            if not item.is_file(follow_symlinks=False):
                if item.is_dir(follow_symlinks=False):
                    kinds[name] = "directory"
                elif item.is_symlink():
                    kinds[name] = "link"
                else:
                    continue
            names.append(name)
    names.sort()
    return names, kinds


class LocalWalk:
    """One walk of a local directory; see :meth:`.Storage.walk` for the parameters.

    :param root: the directory
    :param location: the directory, for messages
    """

    def __init__(
        self,
        root: Path,
        location: str,
        path_filter: PathFilter = EVERYTHING,
        *,
        links: Links = "skip",
        missing_ok: bool = False,
        on_unreadable: OnUnreadable | None = None,
        on_link: Callable[[str], None] | None = None,
    ) -> None:
        self._root_path = root
        self._location = location
        self._filter = path_filter
        self._links = links
        self._missing_ok = missing_ok
        self._on_unreadable = on_unreadable
        self._on_link = on_link
        self._racy_times = RacyTimes.now()
        self._root = -1
        self._stack: list[_Directory] = []

    @cached_property
    def _root_paths(self) -> tuple[str, ...]:
        return str(self._root_path), os.path.realpath(self._root_path)

    def entries(self) -> Iterator[TreeEntry]:
        """Yield all entries.

        :raises FileError: see :meth:`.Storage.walk`
        """
        try:
            self._root = os.open(self._root_path, ROOT)
        except OSError as error:
            if self._missing_ok and error.errno == errno.ENOENT:
                return
            raise file_error("read the directory", "", self._location, error) from error
        try:
            try:
                self._push("", (), os.dup(self._root))
            except OSError as error:
                raise file_error("read the directory", "", self._location, error) from error
            while self._stack:
                yield from self._walk_deepest()
        finally:
            for directory in self._stack:
                if directory.descriptor >= 0:
                    os.close(directory.descriptor)
            os.close(self._root)

    def _walk_deepest(self) -> Iterator[TreeEntry]:
        """Walk the deepest directory to its end, or to the next directory in it, which is then the deepest."""
        directory = self._stack[-1]
        descriptor, above, kinds, room = directory.descriptor, directory.path, directory.kinds, directory.room
        selects = self._selects_in(directory)
        racy_times = self._racy_times
        for name in directory.names:
            path = above + name
            if kinds and name in kinds:
                entry = self._directory(directory, name) if kinds[name] == "directory" else self._link(directory, name)
                if entry is not None:
                    yield entry
                if self._stack[-1] is not directory:
                    return
                continue
            if selects is not None and not selects(path):
                continue
            if (len(name) > room or not name.isascii()) and not self._travels(path):
                continue
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
            except OSError as error:
                self._pass_over(path, error)
                continue
            if stat.S_ISREG(status.st_mode):
                yield entry_of_file(path, status, racy_times)
        self._pop()

    def _selects_in(self, directory: _Directory) -> Callable[[str], bool] | None:
        """Return the predicate that selects the files of a directory; ``None`` for all."""
        if self._filter.selects_all:
            return None
        selects, excludes = self._filter.selects, self._filter.excludes
        above = "".join(f"{name}/" for name in directory.real)
        if above == directory.path:
            return selects
        # Behind a link: an excluded file must not be readable under another name.
        start = len(directory.path)
        return lambda path: selects(path) and not excludes(above + path[start:])

    def _directory(self, above: _Directory, name: str) -> TreeEntry | None:
        """Enter a directory, and return its entry if it is selected."""
        path = above.path + name
        if not self._enters(path):
            return None
        try:
            return self._enter(path, (*above.real, name), os.open(name, DIRECTORY, dir_fd=above.descriptor))
        except OSError as error:
            self._pass_over(f"{path}/", error)
            return None

    def _enters(self, path: str) -> bool:
        if not self._filter.descends(path):
            return False
        # Every path below is invalid for the same reason.
        return self._on_unreadable is None or can_travel(path, self._on_unreadable, ending="/")

    def _enter(self, path: str, real: Sequence[str], descriptor: int) -> TreeEntry | None:
        directory = self._push(f"{path}/", real, descriptor)
        if not self._filter.selects(path):
            return None
        if directory.room < 0:
            check_name(path)
        return entry_of_directory(path, directory.status)

    def _link(self, above: _Directory, name: str) -> TreeEntry | None:
        """Return the entry of a link or of its target; enter the target if it is a directory."""
        path = above.path + name
        if self._links == "follow":
            return self._followed(above, name)
        if not self._filter.selects(path):
            return None
        try:
            target = os.readlink(name, dir_fd=above.descriptor)
            status = os.stat(name, dir_fd=above.descriptor, follow_symlinks=False)
        except OSError as error:
            # EINVAL: it is no longer a link.
            if error.errno != errno.EINVAL:
                self._pass_over(path, error)
            return None
        if self._links == "skip" or not link_stays_inside(path, target):
            if self._on_link is not None:
                self._on_link(readable_name(path))
            return None
        if not self._travels(path):
            return None
        if target != readable_name(target):
            self._unreadable(
                path,
                f"The link {path!r} in {self._location} leads to a name that is not valid UTF-8. "
                "Rename what it leads to, or exclude the link on both sides.",
            )
            return None
        return entry_of_link(path, status, target)

    def _followed(self, above: _Directory, name: str) -> TreeEntry | None:
        path = above.path + name
        try:
            holder, real, found = resolve(self._root, above.real, (name,), self._root_paths, self._filter)
            try:
                return self._behind_link(path, holder, real if found is None else [*real, found])
            finally:
                os.close(holder)
        except ExcludedError:
            return None
        except OSError as error:
            if self._filter.excludes(path) or not self._filter.descends(path):
                return None  # the filter selects nothing behind the link
            if error.errno in _WHY_NOT_FOLLOWED:
                reason = _WHY_NOT_FOLLOWED[error.errno]
                # A requested folder that is missing is an error.
                self._unreadable(
                    path,
                    f"The link {readable_name(path)!r} in {self._location} cannot be followed: {reason}. "
                    "Remove it, exclude it on both sides, or leave links out.",
                    MissingFileError,
                )
            else:
                self._pass_over(path, error)
            return None

    def _behind_link(self, path: str, holder: int, real: Sequence[str]) -> TreeEntry | None:
        """Return the entry of the link's target at ``real``, under the path of the link, and enter it if it is a directory.

        :param holder: the directory that holds it, or the root itself
        """
        name = real[-1] if real else "."
        is_excluded = self._filter.excludes("/".join(real))
        try:
            status = os.stat(name, dir_fd=holder, follow_symlinks=False)
        except FileNotFoundError:
            if is_excluded:
                return None  # as if it were there
            raise
        if any(map(is_temporary, real)):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        if stat.S_ISDIR(status.st_mode):
            if not self._enters(path) or not self._filter.descends("/".join(real)):
                return None
            if any((status.st_dev, status.st_ino) == directory.identity for directory in self._stack):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
            return self._enter(path, real, os.open(name, DIRECTORY, dir_fd=holder))
        # An excluded file must not be readable under another name.
        if not stat.S_ISREG(status.st_mode) or not self._filter.selects(path) or is_excluded:
            return None
        return entry_of_file(path, status, self._racy_times) if self._travels(path) else None

    def _push(self, path: str, real: Sequence[str], descriptor: int) -> _Directory:
        try:
            directory = _Directory(path, real, descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        self._stack.append(directory)
        if len(self._stack) > _OPEN_DIRECTORIES and (far := self._stack[-_OPEN_DIRECTORIES - 1]).descriptor >= 0:
            os.close(far.descriptor)
            far.descriptor = -1
        return directory

    def _pop(self) -> None:
        left = self._stack.pop()
        try:
            if self._stack and self._stack[-1].descriptor < 0:
                self._open_again(self._stack[-1], left.descriptor)
        finally:
            if left.descriptor >= 0:
                os.close(left.descriptor)

    def _open_again(self, directory: _Directory, below: int) -> None:
        try:
            if below >= 0:
                # One step from the directory that was just left: from the root, deep trees would take quadratic time.
                above = os.open("..", DIRECTORY, dir_fd=below)
                if os.path.samestat(os.fstat(above), directory.status):
                    directory.descriptor = above
                    return
                os.close(above)
            directory.descriptor = open_directory(self._root, directory.real)
        except OSError as error:
            # The rest of it is gone.
            directory.names = iter(())
            self._pass_over(directory.path, error)

    def _travels(self, path: str) -> bool:
        if self._on_unreadable is not None:
            return can_travel(path, self._on_unreadable)
        check_name(path)
        return True

    def _pass_over(self, path: str, error: OSError) -> None:
        """Leave out a path that is gone or cannot be read, or raise; directories have ``/`` at their end."""
        if error.errno in NOT_THERE:
            return
        failure = file_error("read the directory" if path.endswith("/") else "read", path.rstrip("/"), self._location, error)
        if self._on_unreadable is None or not is_about_one_file(error):
            raise failure from error
        failure.__cause__ = error
        self._on_unreadable(readable_name(path), failure)

    def _unreadable(self, path: str, message: str, kind: type[FileError] = FileError) -> None:
        if self._on_unreadable is None:
            raise kind(message)
        self._on_unreadable(readable_name(path), kind(message))
