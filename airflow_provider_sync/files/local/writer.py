"""Write a tree of files to a local disk: first under temporary names in the same directory, then renamed, many at once.

For speed, directories stay open, and no path is looked up from the root. :mod:`.commits` makes complete files durable and renames
them; :mod:`.obstacles` replaces files and directories in their way.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from airflow_provider_sync.exceptions import DirectoryBusyError, FileChangedError, FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.access import Access, access_below
from airflow_provider_sync.files.local.backup_folder import BackupFolder
from airflow_provider_sync.files.local.commits import LocalCommits
from airflow_provider_sync.files.local.confined import NOT_THERE
from airflow_provider_sync.files.local.copies import NO_LINKS, write_all
from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file
from airflow_provider_sync.files.local.metadata import OWNER_BITS, set_on_directory, set_on_file, set_on_present
from airflow_provider_sync.files.local.new_file import LocalNewFile, create_temporary, open_resumable
from airflow_provider_sync.files.local.obstacles import Obstacles
from airflow_provider_sync.files.local.open_directories import OpenDirectories, OpenDirectory
from airflow_provider_sync.files.local.open_flags import CREATE, READ, ROOT
from airflow_provider_sync.files.local.pending_files import PendingFile
from airflow_provider_sync.files.local.place import Place
from airflow_provider_sync.files.paths import check_name, link_stays_inside, resumable_name
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup, MayReplace, Metadata, OnFailure

_NEW_MODE = 0o666
# Mode of a file while it is written: the new content of a private file must not be readable by others.
_PRIVATE_MODE = 0o600


class LocalTreeWriter:
    """Writes below one local directory; see :class:`~.tree_writer.TreeWriter`.

    :param root: the directory; made at the start of the block
    :param location: the directory, for messages
    :param durable: whether to wait for the disk before files get their names
    :param may_replace: see :data:`~.tree_writer.MayReplace`
    :param backup: where to move what is replaced or removed
    :param on_failure: see :data:`~.tree_writer.OnFailure`; without it a commit raises the first error at its end
    :param shares_files: whether files have hard links in another tree, in which nothing may change
    """

    def __init__(
        self,
        root: Path,
        location: str,
        *,
        durable: bool,
        may_replace: MayReplace,
        backup: Backup | None = None,
        on_failure: OnFailure | None = None,
        shares_files: bool = False,
    ) -> None:
        self._root_path = root
        self._location = location
        self._durable = durable
        self._on_failure = on_failure
        self._shares_files = shares_files
        self._backup = BackupFolder(root, backup, durable=durable) if backup is not None else None
        self._obstacles = Obstacles(location, may_replace, self._backup)
        self._new_files: set[LocalNewFile] = set()
        self._directory_metadata: dict[str, Metadata] = {}

    def __enter__(self) -> Self:
        try:
            self._root_path.mkdir(parents=True, exist_ok=True)
            self._root = os.open(self._root_path, ROOT)
        except OSError as error:
            raise file_error("write", "", self._location, error) from error
        self._directories = OpenDirectories(self._root, self._obstacles.check_file, durable=self._durable)
        self._commits = LocalCommits(
            self._root,
            self._location,
            self._directories,
            self._obstacles,
            durable=self._durable,
            backup=self._backup,
            on_failure=self._on_failure,
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.commit()
                self._commits.remove_unused()
                self._end()
        finally:
            try:
                for new_file in list(self._new_files):
                    new_file.keep()
                self._commits.discard()
            finally:
                self._directories.close()
                os.close(self._root)
                if self._backup is not None:
                    self._backup.close()

    def put(self, path: str, data: bytes | memoryview, metadata: Metadata) -> None:
        """Write a small file."""
        with self._place_of(path) as (directory, name):
            replaced = self._replaced(directory, path, name)
            mode = _NEW_MODE if replaced is None and metadata.mode is None else _PRIVATE_MODE
            pending = PendingFile(path, self._commits.temporary_name())
            with self._commits.beginning(pending, directory):
                descriptor = os.open(pending.temporary, CREATE, mode, dir_fd=directory.descriptor)
                try:
                    written = os.write(descriptor, data)
                    if written != len(data):
                        write_all(descriptor, memoryview(data)[written:])
                    set_on_file(descriptor, metadata, replaced)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._commits.complete(pending, descriptor)

    def create(self, path: str, *, size: int, metadata: Metadata, resume_key: str | None = None) -> LocalNewFile:
        """Begin a large file."""
        name = self._checked(path)[-1]
        temporary = self._commits.temporary_name() if resume_key is None else resumable_name(path, resume_key)
        pending = PendingFile(path, temporary, is_kept=resume_key is not None)
        with self._place_of(path) as (directory, _), self._commits.beginning(pending, directory):
            replaced = self._replaced(directory, path, name)
            mode = _NEW_MODE if replaced is None and metadata.mode is None else _PRIVATE_MODE
            try:
                descriptor = open_resumable(directory.descriptor, temporary, size) if pending.is_kept else None
                if descriptor is None:
                    descriptor = create_temporary(directory.descriptor, temporary, mode)
            except BlockingIOError as error:
                raise DirectoryBusyError(
                    f"Another sync downloads {path!r} to {self._location}. Let it end, or stop it, and try again."
                ) from error
            # Until its end.
            directory = self._directories.use(path[: -len(name) - 1])

        def complete(descriptor: int) -> None:
            with self._commits.beginning(pending, directory):
                try:
                    set_on_file(descriptor, metadata, self._replaced(directory, path, name))
                except BaseException:
                    os.close(descriptor)
                    raise
                self._commits.complete(pending, descriptor)

        def end() -> None:
            self._new_files.discard(new_file)
            self._directories.release(directory)

        new_file = LocalNewFile(
            pending,
            size,
            descriptor,
            directory.descriptor,
            location=self._location,
            durable=self._durable,
            open_source=self._open_source,
            on_complete=complete,
            on_end=end,
        )
        self._new_files.add(new_file)
        return new_file

    def copy(self, path: str, from_path: str, metadata: Metadata, *, move: bool = False, version: bytes | None = None) -> None:
        """Write a file with the content of another one: by a hard link if the other one is removed afterwards, else as a copy."""
        source = self._open_source(from_path)
        try:
            before = os.fstat(source)
            if version is not None and entry_of_file(from_path, before, RacyTimes.now()).version != version:
                raise self._changed(from_path)
            # Changes of its time and permissions would affect its other names, too.
            may_link = move and self._backup is None and not self._shares_files and before.st_nlink == 1
            if not (may_link and self._link(path, from_path, metadata, source)):
                self._copy(path, from_path, metadata, source, before)
        finally:
            os.close(source)

    def _copy(self, path: str, from_path: str, metadata: Metadata, source: int, before: os.stat_result) -> None:
        new_file = self.create(path, size=before.st_size, metadata=metadata)
        try:
            new_file.copy_from(source)
            after = os.fstat(source)
            if (after.st_size, after.st_mtime_ns, after.st_ctime_ns) != (before.st_size, before.st_mtime_ns, before.st_ctime_ns):
                raise self._changed(from_path)
            new_file.finish()
        finally:
            new_file.discard()

    def _link(self, path: str, from_path: str, metadata: Metadata, source: int) -> bool:
        """Make a hard link of a file that will be removed; return whether the file system does so."""
        pending = PendingFile(path, self._commits.temporary_name(), is_linked=True)
        with self._place_of(from_path, make=False) as (from_directory, from_name), self._place_of(path) as (directory, name):
            replaced = self._replaced(directory, path, name)
            there, here = from_directory.descriptor, directory.descriptor
            try:
                os.link(from_name, pending.temporary, src_dir_fd=there, dst_dir_fd=here, follow_symlinks=False)
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                return False
            with self._commits.beginning(pending, directory):
                linked = os.stat(pending.temporary, dir_fd=here, follow_symlinks=False)
                if not os.path.samestat(linked, os.fstat(source)):
                    raise self._changed(from_path)
                set_on_file(source, metadata, replaced)
                self._commits.complete(pending, os.dup(source))
        return True

    def make_directory(self, path: str, metadata: Metadata) -> None:
        """Make a directory if there is none."""
        self._checked(path)
        try:
            with self._directories.using(path, make=True) as directory:
                if metadata.mode is not None:
                    # Files that come now must not be seen by more users than at the end.
                    set_on_directory(directory, Metadata(mode=metadata.mode), at_least=OWNER_BITS)
        except OSError as error:
            raise file_error("write", path, self._location, error) from error
        self._commits.want_directory(path)
        if path in self._directories.stand_ins:
            self._obstacles.wanted.add(path)
        self._note_metadata(path, metadata)

    def make_link(self, path: str, target: str) -> None:
        """Make a symbolic link that leads to something below the root."""
        check_name(path)
        if not link_stays_inside(path, target):
            raise FileError(
                f"The link {path!r} in {self._location} would lead out of the directory, to {target!a}. Exclude it on both sides."
            )
        pending = PendingFile(path, self._commits.temporary_name(), is_file=False)
        with self._place_of(path) as (directory, name), self._commits.beginning(pending, directory):
            self._replaced(directory, path, name)
            os.symlink(target, pending.temporary, dir_fd=directory.descriptor)
            self._commits.complete(pending, -1)

    def set_metadata(self, path: str, metadata: Metadata) -> TreeEntry | None:
        """Set times and permissions; those of a directory at the end of the block.

        A file with other names gets a copy of its own, as theirs must not change. A copy also replaces a file of another user,
        since only its owner may set its times.
        """
        racy_times = RacyTimes.now()
        with self._place_of(path, make=False) as (directory, name):
            status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                self._note_metadata(path, metadata)
                return None
            if status.st_nlink == 1:
                with suppress(PermissionError):
                    return entry_of_file(path, set_on_present(directory.descriptor, name, metadata), racy_times)
        mtime_ns = status.st_mtime_ns if metadata.mtime_ns is None else metadata.mtime_ns
        self.copy(path, path, Metadata(mtime_ns, metadata.mode))
        return None

    def date_directory(self, path: str, mtime_ns: int) -> None:
        """Set the time of modification of a directory, where that is possible."""
        self._checked(path)
        try:
            with suppress(PermissionError), self._directories.using(path) as directory:
                if os.fstat(directory).st_mtime_ns != mtime_ns:
                    set_on_directory(directory, Metadata(mtime_ns))
        except OSError as error:
            if error.errno not in NOT_THERE:
                raise file_error("write", path, self._location, error) from error

    def _note_metadata(self, path: str, metadata: Metadata) -> None:
        if metadata.mtime_ns is not None or metadata.mode is not None:
            self._directory_metadata[path] = metadata

    def remove(self, path: str) -> None:
        """Remove a file or link."""
        try:
            with self._place_of(path, make=False, doing="delete") as (directory, name):
                if self._backup is not None:
                    self._backup.keep(directory.descriptor, name, path, remains=False)
                else:
                    os.unlink(name, dir_fd=directory.descriptor)
                self._directories.note_names(path[: -len(name) - 1])
        except FileError as error:
            # The path leads to nothing, or to a directory: the file is gone already.
            if _number(error) not in (*NOT_THERE, errno.EISDIR):
                raise

    def remove_directory(self, path: str) -> bool:
        """Remove a directory if it is empty."""
        self._checked(path)
        self._directories.forget(path)
        self._directory_metadata.pop(path, None)
        try:
            with self._place_of(path, make=False, doing="delete") as (directory, name):
                os.rmdir(name, dir_fd=directory.descriptor)
                self._directories.note_names(path[: -len(name) - 1])
        except FileError as error:
            if _number(error) not in (*NOT_THERE, errno.ENOTEMPTY, errno.EEXIST):
                raise
            return _number(error) in NOT_THERE
        return True

    def commit(self) -> list[TreeEntry]:
        """Make durable and name what is complete."""
        return self._commits.commit()

    def _end(self) -> None:
        """Set what directories get, and make all names durable."""
        path = ""
        try:
            # Those below first: above them, permissions may forbid to enter.
            for path in sorted(self._directory_metadata, reverse=True):
                with self._directories.using(path) as directory:
                    set_on_directory(directory, self._directory_metadata[path])
            path = ""
            if self._durable:
                self._directories.sync_names()
            if self._backup is not None:
                self._backup.finish()
        except OSError as error:
            raise file_error("write", path, self._location, error) from error

    def _place_of(self, path: str, *, make: bool = True, doing: str = "write") -> Place:
        """Return the place of a file, for the length of a ``with`` block.

        :param make: whether to make the directory if it is missing
        :param doing: a verb for errors
        :raises FileError: for any error of the system in the block
        """
        return Place(self._directories, self._location, path, self._checked(path)[-1], make, doing)

    def _checked(self, path: str) -> tuple[str, ...]:
        """Return the components of a path.

        :raises FileError: when it could lead out of the root, or into the backup
        """
        inside = self._backup.inside if self._backup is not None else None
        if inside is not None and (path == inside or path.startswith(f"{inside}/")):
            raise FileError(
                f"{path!r} is in the folder of backups. Exclude {inside + '/**'!r} on both sides, or use another folder."
            )
        return check_name(path)

    def _replaced(self, directory: OpenDirectory, path: str, name: str) -> Access | None:
        """Return who may use the regular file that is at ``path``.

        :raises FileError: for a directory with files that may not go
        """
        if directory.is_new:
            return None
        try:
            status = os.stat(name, dir_fd=directory.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(status.st_mode):
            self._obstacles.check_tree(directory.descriptor, path, name)
        return access_below(directory.descriptor, name, status) if stat.S_ISREG(status.st_mode) else None

    def _open_source(self, path: str) -> int:
        """Open a regular file of the target for reading.

        :raises FileError: when there is none, or it cannot be read
        """
        with self._place_of(path, make=False, doing="read") as (directory, name):
            descriptor = os.open(name, READ, dir_fd=directory.descriptor)
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.close(descriptor)
                raise OSError(errno.ENXIO, os.strerror(errno.ENXIO))
        return descriptor

    def _changed(self, path: str) -> FileChangedError:
        return FileChangedError(f"{path!r} in {self._location} changed since it was compared. Compare again.")


def _number(error: FileError) -> int | None:
    """Return the number of the error of the system from which ``error`` was made."""
    return error.__cause__.errno if isinstance(error.__cause__, OSError) else None
