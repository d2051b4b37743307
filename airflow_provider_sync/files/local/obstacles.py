"""Replace obstacles of a tree that is written: a file where a directory must be, or a directory where a file must be.

An obstacle stays in place until its replacement is complete, and is restored if the last step fails.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.local.backup_folder import BackupFolder
from airflow_provider_sync.files.local.confined import walk
from airflow_provider_sync.files.local.open_directories import OpenDirectories
from airflow_provider_sync.files.local.open_flags import DIRECTORY
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.paths import is_temporary, temporary_name
from airflow_provider_sync.files.tree_writer import MayReplace


class Obstacles:
    """Obstacles below one root.

    :ivar wanted: directories that are wanted even if nothing is in them

    :param location: the root, for messages
    :param may_replace: whether a file may go
    :param backup: where it goes
    """

    def __init__(self, location: str, may_replace: MayReplace, backup: BackupFolder | None) -> None:
        self._location = location
        self._may_replace = may_replace
        self._backup = backup
        self.wanted: set[str] = set()

    def check_file(self, directory: int, path: str, name: str) -> None:
        """Check that what is in the place of a directory may go.

        :param directory: descriptor of where it is
        :param path: of it, relative to the root
        :param name: its last component
        :raises FileError: when it may not go
        :raises OSError: when it cannot be examined
        """
        if not stat.S_ISLNK(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            self._check_may_go(path, f"{path}/")

    def check_tree(self, directory: int, path: str, name: str) -> None:
        """Check that all files below a directory that is in the place of a file may go; parameters as in :meth:`check_file`."""
        above = path[: -len(name)]
        for below, _, entry in walk(directory, lambda below: not is_temporary(below), start=name):
            if not (entry.is_dir(follow_symlinks=False) or entry.is_symlink() or is_temporary(below)):
                self._check_may_go(above + below, path)

    def _check_may_go(self, path: str, for_path: str) -> None:
        if not self._may_replace(path):
            raise FileError(
                f"{path!r} in {self._location} stands in the way of {for_path!r} and is not among the files to be deleted. "
                "Move it away, or exclude one of the two."
            )

    def replace_tree(self, directory: int, path: str, name: str, temporary: str) -> None:
        """Put the file with a temporary name in the place of a directory.

        :param temporary: in the same directory
        :raises FileError: when a file below may not go
        :raises OSError: when a step fails; everything is as it was
        """
        self.check_tree(directory, path, name)
        aside = self._exchange(directory, name, temporary)
        if self._backup is not None:
            for below, descriptor, entry in walk(directory, lambda below: True, start=aside):
                if not entry.is_dir(follow_symlinks=False) and not is_temporary(entry.name):
                    self._backup.keep(descriptor, entry.name, path + below[len(aside) :], remains=True)
        remove_tree(directory, aside)

    def settle(self, directories: OpenDirectories) -> Iterator[tuple[str, OSError]]:
        """Let the directories that stand in for obstacles take their places, if they hold anything.

        :returns: paths of obstacles that are where they were, because a step failed, and the errors
        """
        for path, temporary in list(directories.stand_ins.items()):
            above, _, name = path.rpartition("/")
            try:
                with directories.using(above) as directory:
                    if path in self.wanted or not _is_empty(directory, temporary):
                        self._take_place(directories, directory, path, name, temporary)
                        directories.note_names(above)
                self.wanted.discard(path)
            except OSError as error:
                yield path, error

    def _take_place(self, directories: OpenDirectories, above: int, path: str, name: str, temporary: str) -> None:
        self._check_still_no_directory(above, name)
        with directories.lock:
            aside = self._exchange(above, name, temporary)
            del directories.stand_ins[path]
        if self._backup is not None:
            self._backup.keep(above, aside, path, remains=True)
        with suppress(FileNotFoundError):
            os.unlink(aside, dir_fd=above)

    def _check_still_no_directory(self, directory: int, name: str) -> None:
        """Check that nobody made a directory in the meantime, which may hold anything.

        :raises FileExistsError: if another process created it
        """
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))

    def _exchange(self, directory: int, name: str, temporary: str) -> str:
        """Move ``name`` aside, and ``temporary`` into its place; return the name under which the first one is now."""
        aside = temporary_name()
        with suppress(FileNotFoundError):
            os.rename(name, aside, src_dir_fd=directory, dst_dir_fd=directory)
        try:
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(FileNotFoundError):
                os.rename(aside, name, src_dir_fd=directory, dst_dir_fd=directory)
            raise
        return aside


def _is_empty(directory: int, name: str) -> bool:
    """Whether a directory holds nothing but temporary files."""
    descriptor = os.open(name, DIRECTORY, dir_fd=directory)
    try:
        with os.scandir(descriptor) as entries:
            return all(is_temporary(entry.name) for entry in entries)
    finally:
        os.close(descriptor)
