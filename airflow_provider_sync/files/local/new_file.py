"""A large file being written to a local disk, which can resume an earlier attempt."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import stat
from collections.abc import Callable, Iterator
from functools import cached_property

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.copies import copy_stretch, write_all
from airflow_provider_sync.files.local.linux_calls import shares_blocks, start_writing
from airflow_provider_sync.files.local.pending_files import PendingFile
from airflow_provider_sync.files.tree_writer import Take

log = logging.getLogger(__name__)

_CREATE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_REOPEN = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BLOCK_BYTES = 1024 * 1024
# Bytes after which the kernel is asked to begin writing, so that a commit has little left to wait for.
_STRETCH_BYTES = 8 * 1024 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


def open_resumable(directory: int, temporary: str, size: int) -> int | None:
    """Open the unfinished file of an earlier attempt; remove it and return ``None`` if it cannot be trusted.

    :param size: bytes that the file will have
    :raises OSError: when it can be neither opened nor removed
    """
    try:
        descriptor = os.open(temporary, _REOPEN, dir_fd=directory)
    except FileNotFoundError:
        return None
    except OSError:
        os.unlink(temporary, dir_fd=directory)
        return None
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1 and status.st_uid == os.geteuid() and status.st_size <= size:
        _lock(descriptor)
        os.lseek(descriptor, 0, os.SEEK_END)
        return descriptor
    os.close(descriptor)
    os.unlink(temporary, dir_fd=directory)
    return None


def create_temporary(directory: int, temporary: str, mode: int) -> int:
    """Create a file that nobody else writes to.

    :raises OSError: when there is one, or it cannot be created
    """
    descriptor = os.open(temporary, _CREATE, mode, dir_fd=directory)
    _lock(descriptor)
    return descriptor


def _lock(descriptor: int) -> None:
    """Lock an unfinished file against another process that resumes it.

    :raises BlockingIOError: when there is one; the descriptor is closed
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise
    except OSError as error:
        # Where there are no locks, care that one sync runs at a time, as LocalStorage.exclusive warns.
        log.debug("No lock for an unfinished file: %s", error)


class LocalNewFile:
    """A :class:`~.tree_writer.NewFile` on a local disk.

    :param pending: its path and temporary name
    :param size: bytes that it will have
    :param descriptor: open for reading and writing, at its end
    :param directory: descriptor of its directory; open until ``on_end``
    :param location: the root, for messages
    :param durable: whether a commit waits for the disk, which then begins early
    :param open_source: opens a file of the target for reading
    :param on_complete: takes over the descriptor of the complete file
    :param on_end: called once, when this object does nothing more
    """

    def __init__(
        self,
        pending: PendingFile,
        size: int,
        descriptor: int,
        directory: int,
        *,
        location: str,
        durable: bool,
        open_source: Callable[[str], int],
        on_complete: Callable[[int], None],
        on_end: Callable[[], None],
    ) -> None:
        self.pending = pending
        self._directory = directory
        self.written = os.lseek(descriptor, 0, os.SEEK_CUR)
        self._size = size
        self._descriptor = descriptor
        self._location = location
        self._durable = durable
        self._open_source = open_source
        self._on_complete = on_complete
        self._on_end = on_end
        self._source: tuple[str, int] | None = None
        self._begun = self.written
        # Only for files that are assembled from ranges of others.
        self._block: memoryview | None = None
        self._is_full = False

    @cached_property
    def shares_blocks(self) -> bool:
        """Whether the file system shares blocks between files."""
        return shares_blocks(self._descriptor)

    def read_written(self) -> Iterator[bytes]:
        """Yield what has been written so far."""
        offset = 0
        while offset < self.written:
            try:
                block = os.pread(self._descriptor, min(_BLOCK_BYTES, self.written - offset), offset)
            except OSError as error:
                raise self._error(error) from error
            if not block:
                raise self._cut_meanwhile()
            offset += len(block)
            yield block

    def digest_written(self) -> bytes | None:
        """Return ``None``: the written bytes can be read again."""
        return None

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        self._check_room(len(data))
        try:
            write_all(self._descriptor, data)
        except OSError as error:
            raise self._error(error) from error
        self._count(len(data))

    def copy_range(self, from_path: str, offset: int, length: int, take: Take) -> None:
        """Append a range of a file of the target: by sharing its blocks if the file system can, or else through memory."""
        self._check_room(length)
        source = self._source_of(from_path)
        copied = 0
        try:
            while copied < length and (done := self._copy_block(source, offset + copied, length - copied, take)):
                copied += done
        except OSError as error:
            raise self._error(error) from error
        if copied < length:
            raise FileChangedError(f"{from_path!r} in {self._location} became shorter while it was copied. Compare again.")

    def _copy_block(self, source: int, offset: int, length: int, take: Take) -> int:
        """Append up to a block of a file; return its bytes, 0 at the end of the file."""
        if self._block is None:
            self._block = memoryview(bytearray(_BLOCK_BYTES))
        block = self._block[:length]
        if self.shares_blocks:
            # The file may change during the copy, so the digest is computed from the copied bytes.
            block = block[: copy_stretch(source, self._descriptor, offset, len(block))]
            read = os.preadv(self._descriptor, [block], self.written) if block else 0
            if read < len(block):
                raise self._cut_meanwhile()
        else:
            block = block[: os.preadv(source, [block], offset)]
            write_all(self._descriptor, block)
        self._count(len(block))
        take(block)
        return len(block)

    def _cut_meanwhile(self) -> FileChangedError:
        return FileChangedError(f"The unfinished {self.pending.path!r} in {self._location} was cut meanwhile. Try again.")

    def copy_from(self, source: int) -> None:
        """Append all of a file that is open for reading, up to the announced size.

        :param source: its descriptor
        """
        try:
            self._count(copy_stretch(source, self._descriptor, 0, self._size))
        except OSError as error:
            raise self._error(error) from error

    def _check_room(self, length: int) -> None:
        if self.written + length > self._size:
            raise FileError(f"{self.pending.path!r} came with more than its {self._size} bytes. Try again.")

    def _count(self, length: int) -> None:
        self.written += length
        if self._durable and self.written - self._begun >= _STRETCH_BYTES:
            start_writing(self._descriptor, self._begun, self.written - self._begun)
            self._begun = self.written

    def _source_of(self, path: str) -> int:
        # The ranges of one file come one after the other, and should come from one version of it.
        if self._source is None or self._source[0] != path:
            self._close_source()
            self._source = (path, self._open_source(path))
        return self._source[1]

    def _close_source(self) -> None:
        source, self._source = self._source, None
        if source is not None:
            os.close(source[1])

    def finish(self) -> None:
        """Leave the file to the next commit."""
        if self.written != self._size:
            self.discard()
            raise FileError(f"{self.pending.path!r} came with {self.written} bytes instead of {self._size}. Try again.")
        descriptor = self._detach()
        try:
            self._on_complete(descriptor)
        except OSError as error:
            raise self._error(error) from error
        finally:
            self._on_end()

    def discard(self) -> None:
        """Remove what was written; does nothing after the end."""
        self._end(remove=True)

    def keep(self) -> None:
        """Stop, but keep what was written if there is a key and the disk has room for the rest; does nothing after the end.

        On a full disk, an unfinished file that no sync can complete would only take space.
        """
        self._end(remove=self._descriptor >= 0 and not (self.pending.is_kept and self._rest_fits()))

    def _rest_fits(self) -> bool:
        if self._is_full:
            return False
        disk = os.fstatvfs(self._descriptor)
        return disk.f_bavail * disk.f_frsize >= self._size - self.written

    def _end(self, *, remove: bool) -> None:
        if self._descriptor < 0:
            return
        descriptor = self._detach()
        try:
            if remove:
                os.unlink(self.pending.temporary, dir_fd=self._directory)
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise self._error(error) from error
        finally:
            os.close(descriptor)
            self._on_end()

    def _detach(self) -> int:
        descriptor, self._descriptor = self._descriptor, -1
        self._close_source()
        return descriptor

    def _error(self, error: OSError) -> FileError:
        self._is_full = self._is_full or error.errno in _FULL
        return file_error("write", self.pending.path, self._location, error)
