"""A directory on a local disk, from which no path leads out.

Symbolic links are never followed below the root: a scan skips them, opening one is refused, and one in the place of a file or
directory of the source is replaced. This includes links to files inside the root: a check of where they lead could be raced.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from copy import copy
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.atomic_tree import AtomicTree
from airflow_provider_sync.files.local.backup_folder import backup_in_copy, folder_inside
from airflow_provider_sync.files.local.carried_digests import CarriedDigests
from airflow_provider_sync.files.local.confined import NOT_THERE, open_directory, root_directory, walk
from airflow_provider_sync.files.local.directory_lock import DirectoryLock
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file
from airflow_provider_sync.files.local.mounts import is_mount_point, keeps_permissions, time_step_ns
from airflow_provider_sync.files.local.one_name import is_one_name
from airflow_provider_sync.files.local.reading import LocalOpener, open_version
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.local.walk import LocalWalk
from airflow_provider_sync.files.local.writer import LocalTreeWriter
from airflow_provider_sync.files.paths import check_name, is_resumable, is_temporary
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import RESUMABLE_SECONDS, FileReader, OnUnreadable, OpenVersion, VersionedFile
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup, MayReplace, OnFailure
from airflow_provider_sync.protocol.v2.file_messages import Links

if TYPE_CHECKING:
    from airflow_provider_sync.files.digest_cache import CachedRoot


class LocalStorage:
    """A :class:`~.storage.Storage` in a directory on a local disk.

    :param root: the directory; made by the first write
    """

    is_remote = False

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.location = str(self.root)
        self.concurrency = min(8, os.cpu_count() or 1)
        self._lock = DirectoryLock(self.root)
        # The directory that this one will replace; see `atomic_copy`.
        self._original: Path | None = None

    @property
    def time_step_ns(self) -> int:
        """Resolution of times of modification on the file system, in nanoseconds."""
        return time_step_ns(self.root)

    @property
    def keeps_permissions(self) -> bool:
        """Whether files have permissions of their own here."""
        return keeps_permissions(self.root)

    def named(self, name: str) -> Self:
        """Return this storage with another :attr:`location`; see :meth:`~.storage.Storage.named`."""
        storage = copy(self)
        storage.location = name
        return storage

    def scan(
        self, path_filter: PathFilter = EVERYTHING, *, missing_ok: bool = False, on_unreadable: OnUnreadable | None = None
    ) -> Iterator[TreeEntry]:
        """Yield every regular file that is selected, in the order of paths; see :meth:`~.storage.Storage.scan`."""
        walked = self.walk(path_filter, missing_ok=missing_ok, on_unreadable=on_unreadable)
        return (entry for entry in walked if entry.kind == "file")

    def walk(
        self,
        path_filter: PathFilter = EVERYTHING,
        *,
        links: Links = "skip",
        missing_ok: bool = False,
        on_unreadable: OnUnreadable | None = None,
        on_link: Callable[[str], None] | None = None,
    ) -> Iterator[TreeEntry]:
        """Yield everything that is selected, in the order of paths; see :meth:`~.storage.Storage.walk`."""
        walk = LocalWalk(
            self.root,
            self.location,
            path_filter,
            links=links,
            missing_ok=missing_ok,
            on_unreadable=on_unreadable,
            on_link=on_link,
        )
        return walk.entries()

    def open_version(self, path: str, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING) -> VersionedFile:
        """Open a regular file together with its entry; see :meth:`~.storage.Storage.open_version`."""
        return open_version(self.root, path, self.location, links=links, path_filter=path_filter)

    def opener(self, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING) -> AbstractContextManager[OpenVersion]:
        """Yield a function that opens files; see :meth:`~.storage.Storage.opener`."""
        if links == "follow":
            return nullcontext(partial(self.open_version, links=links, path_filter=path_filter))
        return LocalOpener(self.root, self.location)

    def read(self, path: str) -> FileReader:
        """Open a file for sending; a changed size or time of modification shows that it has changed."""
        version = self.open_version(path)
        before = version.entry

        def unchanged() -> bool:
            # As entries have them: a file of the first moment of 1970, for one, has another time there.
            after = entry_of_file(path, os.fstat(version.file.fileno()), RacyTimes.now())
            return (after.size, after.mtime_ns) == (before.size, before.mtime_ns)

        return FileReader(version.file, path, self.location, before.size, unchanged)

    def writer(
        self,
        *,
        durable: bool = True,
        may_replace: MayReplace,
        backup: Backup | None = None,
        on_failure: OnFailure | None = None,
    ) -> LocalTreeWriter:
        """Write many files; see :meth:`~.storage.Storage.writer`.

        A new file gets the permissions that the process gives to new files; one that is replaced keeps its own, and its owner
        where this process may give files away.
        """
        return LocalTreeWriter(
            self.root,
            self.location,
            durable=durable,
            may_replace=may_replace,
            backup=backup if self._original is None or backup is None else backup_in_copy(self._original, backup),
            on_failure=on_failure,
            shares_files=self._original is not None,
        )

    @contextmanager
    def atomic_copy(self, *, durable: bool = True, digests: CachedRoot | None = None) -> Iterator[Self]:
        """Yield a copy of the directory, which replaces it at the end; see :meth:`~.storage.Storage.atomic_copy`."""
        atomic = AtomicTree(self.root, self.location, durable=durable)
        with CarriedDigests(digests) as carried:
            try:
                with atomic.replacing(self._lock.move_to, carried.note) as path:
                    storage = copy(self)
                    storage.root, storage._original = path, self.root
                    yield storage
            except Exception:
                with suppress(OSError):  # it is a cache
                    carried.record(self.root)
                raise
            with suppress(OSError):
                carried.record(self.root)

    def backup_inside(self, folder: str) -> str | None:
        """Return the path of a folder of backups; see :meth:`~.storage.Storage.backup_inside`."""
        return folder_inside(self.root, folder)

    def is_one_name(self, path: str, other: str) -> bool:
        """Whether two names would be one file here; see :meth:`~.storage.Storage.is_one_name`."""
        try:
            return is_one_name(self.root, path, other)
        except OSError as error:
            raise file_error("write", path, self.location, error) from error

    def count_names(self, path: str) -> int:
        """Return how many names a directory holds; see :meth:`~.storage.Storage.count_names`."""
        try:
            with root_directory(self.root) as root:
                directory = open_directory(root, check_name(path))
                try:
                    with os.scandir(directory) as found:
                        return sum(not is_temporary(entry.name) for entry in found)
                finally:
                    os.close(directory)
        except OSError as error:
            if error.errno in NOT_THERE:
                return 0
            raise file_error("read the directory", path, self.location, error) from error

    def is_mount_point(self, path: str) -> bool:
        """Whether something is mounted on a directory; see :meth:`~.storage.Storage.is_mount_point`."""
        return is_mount_point(self.root.resolve().joinpath(*check_name(path)))

    def exclusive(self, timeout: float) -> AbstractContextManager[None]:
        """Hold a lock on the root itself, so that no lock file remains; see :meth:`~.storage.Storage.exclusive`.

        A missing root is created, and is removed again if the block fails and nothing came. On file systems without locks, such
        as some network ones, there is a warning instead.

        :raises FileChangedError: at the end of the block, when the root was removed or replaced
        """
        return self._lock.held(self.location, timeout)

    def clean(self, older_than: float, *, resumable_older_than: float = RESUMABLE_SECONDS) -> int:
        """Remove temporary files of syncs that were killed; see :meth:`~.storage.Storage.clean`."""
        try:
            removed = AtomicTree(self.root, self.location, durable=False).clean(older_than)
        except OSError as error:
            raise file_error("delete the copy of", "", self.location, error) from error
        try:
            with root_directory(self.root) as root:
                for path, directory, entry in walk(root, lambda path: not is_temporary(path), on_unreadable=lambda *_: None):
                    if not is_temporary(path):
                        continue
                    try:
                        # With the lock held, all are removed, also those with a time in the future.
                        age = resumable_older_than if is_resumable(entry.name) else older_than
                        if age > 0 and last_written(entry.stat(follow_symlinks=False)) > time.time() - age:
                            continue
                        if entry.is_dir(follow_symlinks=False):
                            remove_tree(directory, entry.name)
                        else:
                            os.unlink(entry.name, dir_fd=directory)
                    except FileNotFoundError:
                        continue
                    except OSError as error:
                        raise file_error("delete", path, self.location, error) from error
                    removed += 1
        except FileNotFoundError:
            return removed
        except OSError as error:
            raise self._directory_error(error) from error
        return removed

    def _directory_error(self, error: OSError) -> FileError:
        where = str(error.filename or "")
        return file_error("read the directory", "" if where == str(self.root) else where, self.location, error)

    def __repr__(self) -> str:
        return f"LocalStorage({self.location!r})"


def last_written(status: os.stat_result) -> float:
    """Return when a temporary file was written, in seconds since the epoch."""
    # A complete file may already have the time of modification that its source has.
    return max(status.st_mtime, status.st_ctime)
