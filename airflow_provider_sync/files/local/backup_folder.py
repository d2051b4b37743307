"""The backup of files that a sync replaces and deletes on a local disk: one folder for each run, with the same paths below.

Its directories have at most the permissions of those from which the files come, so that nobody can read a file there who could
not read it before.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import threading
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from airflow_provider_sync.exceptions import ConfigurationError, FileChangedError
from airflow_provider_sync.files.local.access import Access, access_below, access_of, give_access, limit_access
from airflow_provider_sync.files.local.confined import root_directory
from airflow_provider_sync.files.local.copies import NO_LINKS, copy_stretch
from airflow_provider_sync.files.local.entries import PERMISSION_BITS
from airflow_provider_sync.files.local.metadata import OWNER_BITS
from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse
from airflow_provider_sync.files.local.open_flags import CREATE, DIRECTORY
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.tree_writer import Backup

_RUN = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{6})Z(-\d+)?")
_TIME = "%Y-%m-%dT%H%M%S"
_MAX_RUNS_PER_SECOND = 1000


def folder_inside(root: Path, folder: str) -> str | None:
    """Return the path of a backup folder relative to the root, if it is inside: a sync must not look into it on either side.

    :raises ConfigurationError: when it is the root itself, or contains it
    """
    there = os.path.realpath(root / folder)
    inside = os.path.relpath(there, os.path.realpath(root))
    if not set(inside.split("/")) - {"..", "."}:
        raise ConfigurationError(
            f"backup is {folder!r}, which contains the directory itself. Give a folder inside it, or elsewhere."
        )
    return None if inside.startswith("../") else inside


def backup_in_copy(root: Path, backup: Backup) -> Backup:
    """Return what to configure for the copy of a directory, so that the backup is where it is for the directory itself.

    :param root: of the directory
    """
    return replace(backup, folder=folder_inside(root, backup.folder) or str(root / backup.folder))


class BackupFolder:
    """The backup of one run; its folder is made when the first file comes.

    :param root: of the directory that is synced
    :param backup: as configured
    """

    def __init__(self, root: Path, backup: Backup, *, durable: bool) -> None:
        self.inside = folder_inside(root, backup.folder)
        self._root = root
        self._folder = root / backup.folder
        self._days = backup.days
        self._durable = durable
        self._lock = threading.Lock()
        self._descriptor = -1
        self._directories: OpenDirectories | None = None

    def keep(self, directory: int, name: str, path: str, *, remains: bool) -> None:
        """Move or copy a file or link into the backup; do nothing if it does not exist.

        If the path is already in this run's backup, the first version is kept, since the second was written by the run itself.

        :param directory: descriptor of its directory
        :param name: its name in the directory
        :param path: its path in the backup, below the folder of the run
        :param remains: whether it keeps its name, because a new file is about to replace it; otherwise it is moved
        :raises ConfigurationError: where the folder of backups cannot be made
        :raises FileChangedError: where another process removed it
        :raises OSError: when it cannot be taken
        """
        try:
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return
        if stat.S_ISDIR(status.st_mode):
            return
        directories = self._opened()
        with suppress(NotADirectoryError):  # the run took a file with the name of one of its directories
            try:
                self._take(directories, directory, name, path, status)
            except FileNotFoundError:
                self._check_is_gone(directory, name)
                return
        if not remains:
            # A rename between two names of one file would leave both.
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=directory)

    def _take(self, directories: OpenDirectories, directory: int, name: str, path: str, status: os.stat_result) -> None:
        above, _, own = path.rpartition("/")
        with directories.using(above, make=True, access_of=partial(_access_above, directory, above)) as into:
            _take(directory, name, into, own, status)
            directories.note_names(above)

    def _check_is_gone(self, directory: int, name: str) -> None:
        """Check that the missing path is the file, which another process removed, and not the backup folder.

        :raises FileChangedError: if the file is still there
        """
        with suppress(FileNotFoundError):
            os.stat(name, dir_fd=directory, follow_symlinks=False)
            raise FileChangedError(f"backup: a folder in {self._folder} was removed during the sync. Run it again.")

    def _opened(self) -> OpenDirectories:
        with self._lock:
            if self._directories is None:
                try:
                    self._folder.mkdir(parents=True, exist_ok=True)
                except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
                    raise ConfigurationError(
                        f"backup: {self._folder} cannot be made, because a part of it is a file or leads nowhere. "
                        "Move that away, or use another folder."
                    ) from error
                self._descriptor = self._make_run(datetime.now(UTC).strftime(_TIME) + "Z")
                self._directories = OpenDirectories(self._descriptor, refuse, durable=self._durable)
            return self._directories

    def _make_run(self, name: str) -> int:
        with root_directory(self._root) as root:
            access = _with_owner(access_of(root))
        for number in range(1, _MAX_RUNS_PER_SECOND):
            run = self._folder / (name if number == 1 else f"{name}-{number}")
            with suppress(FileExistsError):
                run.mkdir(access.mode)
                descriptor = os.open(run, DIRECTORY)
                limit_access(descriptor, access)
                return descriptor
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def finish(self) -> None:
        """Make the names in it durable, and remove the folders of old runs.

        :raises OSError: when the disk does not take it
        """
        if self._durable and self._directories is not None:
            self._directories.sync_names()
        self._remove_old()

    def _remove_old(self) -> None:
        """Remove the folders of runs that are older than the configured days; others stay, whatever they are called."""
        if self._days is None or not self._folder.is_dir():
            return
        limit = datetime.now(UTC) - timedelta(days=self._days)
        with root_directory(self._folder) as above, os.scandir(above) as entries:
            old = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and _is_before(entry.name, limit)]
            for name in old:
                with suppress(FileNotFoundError):  # the sync of another directory removed it
                    remove_tree(above, name)

    def close(self) -> None:
        """Close its descriptors."""
        if self._directories is not None:
            self._directories.close()
            os.close(self._descriptor)


def _access_above(directory: int, path: str, other: str) -> Access:
    """Return who may use the directory ``other``, which is at or above ``path``.

    :param directory: descriptor of the directory at ``path``, wherever it is at present
    """
    steps = path.count("/") - other.count("/")
    name = "/".join([".", *[".."] * steps])
    return _with_owner(access_below(directory, name, os.stat(name, dir_fd=directory)))


def _with_owner(access: Access) -> Access:
    return access._replace(mode=access.mode & PERMISSION_BITS | OWNER_BITS)


def _is_before(name: str, limit: datetime) -> bool:
    """Whether a name is that of the folder of a run before ``limit``."""
    run = _RUN.fullmatch(name)
    try:
        return run is not None and datetime.strptime(run[1], _TIME).replace(tzinfo=UTC) < limit
    except ValueError:
        return False


def _take(directory: int, name: str, into: int, own: str, status: os.stat_result) -> None:
    try:
        os.link(name, own, src_dir_fd=directory, dst_dir_fd=into, follow_symlinks=False)
    except FileExistsError:
        return
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _copy(directory, name, into, own, status)
        os.fsync(into)


def _copy(directory: int, name: str, into: int, own: str, status: os.stat_result) -> None:
    """Copy a file or link to another disk, with its times and permissions, and wait for that disk."""
    if stat.S_ISLNK(status.st_mode):
        with suppress(FileExistsError):
            os.symlink(os.readlink(name, dir_fd=directory), own, dir_fd=into)
        return
    source = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        try:
            target = os.open(own, CREATE, 0o600, dir_fd=into)
        except FileExistsError:
            return
        try:
            copied = 0
            while done := copy_stretch(source, target, copied, max(status.st_size - copied, 1)):
                copied += done
            os.fchmod(target, give_access(target, access_of(source)) & PERMISSION_BITS)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(target)
        except BaseException:
            os.unlink(own, dir_fd=into)
            raise
        finally:
            os.close(target)
    finally:
        os.close(source)
