"""One file on its way to a local disk: a temporary file beside its place, made durable, then renamed.

The temporary file lies in the deepest directory that exists on the way to its place, so that a write that fails leaves no
empty directories. Whatever stands in the way is moved aside when the content is complete, and moved back if the last step fails.
"""

from __future__ import annotations

import os
import shutil
import stat
import threading
from collections.abc import Collection, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.confined import descend, make_directories, prune, root_directory, walk
from airflow_provider_sync.files.local.open_flags import CREATE
from airflow_provider_sync.files.paths import check_name, is_temporary, temporary_name


class LocalFileWriter:
    """Writes one file; a context manager, as :meth:`~.storage.Storage.write` returns it.

    :param root: the directory that the file may not leave
    :param path: relative to it
    :param location: the directory, for messages
    :param size: bytes that must have come at the end, or ``None``
    :param replaces: files that may go where they stand in the way
    :param placing: held while a file gets its place, by all writers of one storage
    :param unsynced: takes the directories whose names are to be made durable
    """

    def __init__(
        self,
        root: Path,
        path: str,
        *,
        location: str,
        size: int | None,
        replaces: Collection[str],
        placing: threading.Lock,
        unsynced: set[str],
    ) -> None:
        self.written = 0
        self._location = location
        self._root = root
        self._path = path
        self._components = check_name(path)
        self._size = size
        self._replaces = replaces
        self._placing = placing
        self._unsynced = unsynced
        self._replaced: os.stat_result | None = None

    def __enter__(self) -> Self:
        try:
            with root_directory(self._root, create=True) as root:
                self._directory, self._depth = descend(root, self._components[:-1])
            try:
                # Checked before any content is received in vain.
                self._obstructed(self._directory, self._components[self._depth :], self._depth)
                self._replaced = self._present()
                self._temporary = temporary_name()
                # The new content of a private file must not be readable by others meanwhile.
                mode = 0o600 if self._replaced else 0o666
                self._file = os.open(self._temporary, CREATE, mode, dir_fd=self._directory)
            except BaseException:
                os.close(self._directory)
                raise
        except OSError as error:
            raise self._error(error) from error
        return self

    def _present(self) -> os.stat_result | None:
        if self._depth < len(self._components) - 1:
            return None
        try:
            status = os.stat(self._components[-1], dir_fd=self._directory, follow_symlinks=False)
        except FileNotFoundError:
            return None
        return status if stat.S_ISREG(status.st_mode) else None

    def write(self, data: bytes) -> int:
        """Append all of ``data``."""
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise self._error(error) from error
        self.written += len(data)
        return len(data)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._error(failure) from failure
        finally:
            os.close(self._file)
            # Renamed already, unless something failed; that failure is reported, and `clean` tries again later.
            with suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._directory)
            os.close(self._directory)

    def _finish(self) -> None:
        if self._size is not None and self.written != self._size:
            raise FileError(f"{self._path!r} came with {self.written} bytes instead of {self._size}. Try again.")
        if self._replaced is not None:
            self._keep_permissions(self._replaced)
        os.fsync(self._file)
        with self._placing:
            directory, depth = descend(self._directory, self._components[self._depth : -1])
            try:
                self._place(directory, self._components[self._depth + depth :], self._depth + depth)
            finally:
                os.close(directory)

    def _keep_permissions(self, replaced: os.stat_result) -> None:
        own = os.fstat(self._file)
        if (own.st_uid, own.st_gid) != (replaced.st_uid, replaced.st_gid):
            # Only the superuser may change the owner of a file.
            with suppress(PermissionError):
                os.fchown(self._file, replaced.st_uid, replaced.st_gid)
        os.fchmod(self._file, stat.S_IMODE(replaced.st_mode) & 0o777)

    def _place(self, directory: int, rest: Sequence[str], depth: int) -> None:
        """Give the file its name: the last of ``rest``, below ``directory``, where the others do not exist as directories."""
        aside = self._move_aside(directory, rest, depth)
        try:
            target = make_directories(directory, rest[:-1])
            try:
                os.replace(self._temporary, rest[-1], src_dir_fd=self._directory, dst_dir_fd=target)
            finally:
                os.close(target)
        except BaseException:
            if aside:
                prune(directory, rest[:-1])
                os.rename(aside, rest[0], src_dir_fd=directory, dst_dir_fd=directory)
            raise
        for length in range(depth, len(self._components)):
            self._unsynced.add("/".join(self._components[:length]))
        if aside:
            _remove(directory, aside)

    def _move_aside(self, directory: int, rest: Sequence[str], depth: int) -> str | None:
        if not self._obstructed(directory, rest, depth):
            return None
        aside = temporary_name()
        os.rename(rest[0], aside, src_dir_fd=directory, dst_dir_fd=directory)
        return aside

    def _obstructed(self, directory: int, rest: Sequence[str], depth: int) -> bool:
        """Whether something that may go stands where the first of ``rest`` must be.

        :raises FileError: when it may not go
        """
        try:
            mode = os.stat(rest[0], dir_fd=directory, follow_symlinks=False).st_mode
        except FileNotFoundError:
            return False
        needs_directory = len(rest) > 1
        # A directory is where one is needed; or whatever is in the file's own place, which the rename replaces.
        if stat.S_ISDIR(mode) == needs_directory:
            return False
        above = "".join(f"{name}/" for name in self._components[:depth])
        if stat.S_ISDIR(mode):
            for path, _, entry in walk(directory, lambda path: not is_temporary(path), start=rest[0]):
                if not (entry.is_dir(follow_symlinks=False) or entry.is_symlink() or is_temporary(path)):
                    self._check_may_go(above + path)
        elif not stat.S_ISLNK(mode):
            self._check_may_go(above + rest[0])
        return True

    def _check_may_go(self, path: str) -> None:
        if path not in self._replaces:
            raise FileError(
                f"{path!r} in {self._location} stands in the way of {self._path!r} and is not among the files to be deleted. "
                "Move it away, or exclude one of the two."
            )

    def _error(self, error: OSError) -> FileError:
        return file_error("write", self._path, self._location, error)


def _remove(directory: int, name: str) -> None:
    if stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        shutil.rmtree(name, dir_fd=directory)
    else:
        os.unlink(name, dir_fd=directory)
