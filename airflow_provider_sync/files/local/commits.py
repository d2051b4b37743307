"""Commit files of a local disk: make them durable and move them from temporary to final names, or remove them."""

from __future__ import annotations

import itertools
import os
import secrets
import threading
from contextlib import suppress
from types import TracebackType

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import file_error, is_about_one_file
from airflow_provider_sync.files.local.backup_folder import BackupFolder
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file
from airflow_provider_sync.files.local.obstacles import Obstacles
from airflow_provider_sync.files.local.open_directories import OpenDirectories, OpenDirectory
from airflow_provider_sync.files.local.pending_files import Durability, PendingFile
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.paths import TEMPORARY_PREFIX, parents
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import OnFailure

_REOPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class _Beginning:
    """The block in which a temporary file is made; see :meth:`LocalCommits.beginning`. A class, because that is faster."""

    __slots__ = ("_begun", "_directory", "_file")

    def __init__(self, begun: dict[str, PendingFile], file: PendingFile, directory: OpenDirectory) -> None:
        self._begun = begun
        self._file = file
        self._directory = directory

    def __enter__(self) -> None:
        self._begun[self._file.temporary] = self._file

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is None:
            return
        if not self._file.is_kept:
            with suppress(OSError):  # it was not made, or `clean` tries again
                os.unlink(self._file.temporary, dir_fd=self._directory.descriptor)
        self._begun.pop(self._file.temporary, None)


class LocalCommits:
    """The files that one writer has begun and not yet committed.

    :param root: descriptor of the root
    :param location: the root, for messages
    :param directories: below the root
    :param obstacles: what to do with what is in the way
    :param durable: whether to wait for the disk before files get their names
    :param backup: takes what is replaced
    :param on_failure: see :data:`~.tree_writer.OnFailure`
    """

    def __init__(
        self,
        root: int,
        location: str,
        directories: OpenDirectories,
        obstacles: Obstacles,
        *,
        durable: bool,
        backup: BackupFolder | None,
        on_failure: OnFailure | None,
    ) -> None:
        self._location = location
        self._directories = directories
        self._obstacles = obstacles
        self._durability = Durability(root, location, wanted=durable, reopen=self._reopen)
        self._backup = backup
        self._on_failure = on_failure
        # Names as of temporary_name, without a call of the system for each. O_EXCL notices one that exists.
        self._name_start = TEMPORARY_PREFIX + secrets.token_hex(4)
        self._numbers = itertools.count()
        self._begun: dict[str, PendingFile] = {}
        self._pending: list[PendingFile] = []
        self._lock = threading.Lock()
        self._committing = threading.Lock()
        self._wanted: set[str] = set()

    def temporary_name(self) -> str:
        """Return a new temporary name."""
        return f"{self._name_start}{next(self._numbers) & 0xFFFFFFFF:08x}.part"

    def beginning(self, file: PendingFile, directory: OpenDirectory) -> _Beginning:
        """Remove the temporary file if the block fails, unless a later run may go on with it."""
        return _Beginning(self._begun, file, directory)

    def complete(self, file: PendingFile, descriptor: int) -> None:
        """Mark a file as complete, for the next commit.

        :param descriptor: descriptor of its content, which this method takes over; -1 for a link
        :raises OSError: when the disk does not take it
        """
        if descriptor >= 0:
            self._durability.hold_or_close(file, descriptor, len(self._pending))
        with self._lock:
            self._pending.append(file)
        self._begun.pop(file.temporary, None)

    def want_directory(self, path: str) -> None:
        """Keep a created directory from the next commit on, even if it stays empty."""
        with self._lock:
            self._wanted.add(path)

    def commit(self) -> list[TreeEntry]:
        """Make durable and name what is complete; see :meth:`.TreeWriter.commit`."""
        with self._committing:
            with self._lock:
                waiting, self._pending = self._pending, []
                wanted, self._wanted = self._wanted, set()
            made = len(self._directories.made)
            wanted |= {file.path.rpartition("/")[0] for file in waiting} if made else set()
            entries: list[TreeEntry] = []
            # What is left in it was not placed.
            waiting.reverse()
            try:
                self._durability.sync(waiting)
                failed = self._place_all(waiting, entries)
                for path, error in self._obstacles.settle(self._directories):
                    failure = self._report(path, self._failure(f"{path}/", error))
                    failed = failed or failure
            except BaseException:
                self._remove(waiting)
                raise
            used = {above for path in wanted for above in (path, *parents(path))}
            self._directories.made[:made] = [path for path in self._directories.made[:made] if path not in used]
        if failed is not None:
            raise failed
        return entries

    def _place_all(self, waiting: list[PendingFile], entries: list[TreeEntry]) -> FileError | None:
        """Move files to their names, starting with the last; return the first error that was not reported."""
        racy_times = RacyTimes.now()
        first = None
        while waiting:
            file = waiting[-1]
            file.close()
            try:
                status = self._place(file)
            except (OSError, FileError) as error:
                self._remove([file])
                failure = self._report(file.path, self._failure(file.path, error))
                first = first or failure
            else:
                if file.is_file:
                    entries.append(entry_of_file(file.path, status, racy_times))
            waiting.pop()
        return first

    def _report(self, path: str, failure: FileError) -> FileError | None:
        """Report a failure to ``on_failure``, or return it if there is none."""
        if self._on_failure is None:
            return failure
        self._on_failure(path, failure)
        return None

    def _failure(self, path: str, error: OSError | FileError) -> FileError:
        """Return the error to report for a path that did not get its content.

        :raises FileError: if the error concerns other files, too
        """
        if isinstance(error, FileError):
            return error
        failure = file_error("write", path, self._location, error)
        failure.__cause__ = error
        if not is_about_one_file(error):
            raise failure
        return failure

    def _place(self, file: PendingFile) -> os.stat_result:
        above, _, name = file.path.rpartition("/")
        directory = self._directories.use(above, make=False)
        try:
            here = directory.descriptor
            if self._backup is not None and not directory.is_new:
                self._backup.keep(here, name, file.path, remains=True)
            try:
                os.rename(file.temporary, name, src_dir_fd=here, dst_dir_fd=here)
            except IsADirectoryError:
                self._directories.forget(file.path)
                self._obstacles.replace_tree(here, file.path, name, file.temporary)
            if file.is_linked:
                # A rename between two names of one file leaves both.
                with suppress(FileNotFoundError):
                    os.unlink(file.temporary, dir_fd=here)
            self._directories.note_names(above)
            return os.stat(name, dir_fd=here, follow_symlinks=False)
        finally:
            self._directories.release(directory)

    def discard(self) -> None:
        """Remove uncommitted files and the directories made for them, except files that a later run can resume."""
        self._remove([*self._pending, *self._begun.values()])
        for path, temporary in self._directories.stand_ins.items():
            self._directories.forget(path)
            with suppress(OSError), self._directories.using(path.rpartition("/")[0]) as above:  # `clean` tries again
                remove_tree(above, temporary)
        self.remove_unused()

    def remove_unused(self) -> None:
        """Remove directories that were made for files that were not written."""
        for path in reversed(self._directories.made):
            self._directories.forget(path)
            above_path, _, name = path.rpartition("/")
            if path not in self._directories.stand_ins:
                with suppress(OSError), self._directories.using(above_path) as above:  # it is not empty, or gone
                    os.rmdir(name, dir_fd=above)

    def _remove(self, files: list[PendingFile]) -> None:
        for file in files:
            file.close()
            if file.is_kept:
                continue
            with suppress(OSError), self._directories.using(file.path.rpartition("/")[0]) as above:  # `clean` tries again
                os.unlink(file.temporary, dir_fd=above)

    def _reopen(self, file: PendingFile) -> int:
        with self._directories.using(file.path.rpartition("/")[0]) as above:
            return os.open(file.temporary, _REOPEN, dir_fd=above)
