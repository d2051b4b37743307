"""Files that are written but not committed, and how their content is made durable.

Measured with 10,000 files of 4 to 64 KB on ext4, on a disk that others used at the same time: 2.9 s without waiting for the disk,
38 s with an ``fsync`` for each in turn, 8 s in 4 threads, 6 s in 16; ``fdatasync`` takes as long. One ``syncfs`` for each 480
files takes 4.3 to 5.1 s in all, and the least CPU. It waits for what others have written, too, so a few files are synced each.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.linux_calls import sync_file_system, syncs_as_a_whole

log = logging.getLogger(__name__)

MAX_HELD = 64
"""Files that stay open until a commit: up to here they are synced one by one."""

SYNC_THREADS = 8

SLOW_SECONDS = 2.0
"""A sync of the whole file system that takes longer, and longer than :data:`SLOW_PER_FILE`, waits mostly for others."""

SLOW_PER_FILE = 0.01


class PendingFile:
    """A file or link that is complete under its temporary name, beside its place.

    :ivar path: relative to the root
    :ivar temporary: name in the same directory
    :ivar held: descriptor that is kept to sync it; -1 if it is closed
    :ivar is_synced: whether its content needs no sync any more
    :ivar is_file: whether it is a regular file, and no link
    :ivar is_linked: whether it is another name of a file that is there
    :ivar is_kept: whether it stays for a later run if it is not committed
    """

    __slots__ = ("held", "is_file", "is_kept", "is_linked", "is_synced", "path", "temporary")

    def __init__(
        self, path: str, temporary: str, *, is_file: bool = True, is_kept: bool = False, is_linked: bool = False
    ) -> None:
        self.path = path
        self.temporary = temporary
        self.held = -1
        self.is_synced = not is_file
        self.is_file = is_file
        self.is_kept = is_kept
        self.is_linked = is_linked

    def close(self) -> None:
        """Close the descriptor that is held."""
        held, self.held = self.held, -1
        if held >= 0:
            os.close(held)


class Durability:
    """Make content durable before it gets its name.

    :param root: descriptor of a directory on the file system; stays open as long as this is used
    :param location: the root, for messages
    :param wanted: whether to wait for the disk at all
    :param reopen: opens a file that is not held any more, for reading
    :param now: a clock in seconds
    """

    def __init__(
        self,
        root: int,
        location: str,
        *,
        wanted: bool,
        reopen: Callable[[PendingFile], int],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.wanted = wanted
        self._root = root
        self._location = location
        self._reopen = reopen
        self._now = now
        self._as_a_whole = wanted and syncs_as_a_whole(root)

    def hold_or_close(self, file: PendingFile, descriptor: int, waiting: int) -> None:
        """Take over the descriptor of a file whose content is complete.

        :param waiting: files that wait already
        :raises OSError: when its content cannot be written to the disk
        """
        if self.wanted and waiting < MAX_HELD:
            file.held = descriptor
            return
        try:
            if self.wanted and not self._as_a_whole:
                os.fsync(descriptor)
                file.is_synced = True
        finally:
            os.close(descriptor)

    def sync(self, files: Sequence[PendingFile]) -> None:
        """Make the content of files durable.

        :raises FileError: naming the first file that the disk did not take
        """
        waiting = [file for file in files if not file.is_synced] if self.wanted else []
        if self._as_a_whole and any(file.held < 0 for file in waiting):
            began = self._now()
            try:
                sync_file_system(self._root)
            except OSError as error:
                # Of any file on the disk, perhaps of none of these.
                log.info("Syncing the file system of %s failed (%s); syncing %d files", self._location, error, len(waiting))
            else:
                if self._now() - began > max(SLOW_SECONDS, SLOW_PER_FILE * len(waiting)):
                    self._as_a_whole = False
                return
        self._sync_each(waiting)

    def _sync_each(self, files: Sequence[PendingFile]) -> None:
        if len(files) < 2:
            self._sync_some(files)
            return
        threads = min(SYNC_THREADS, len(files))
        with ThreadPoolExecutor(threads, thread_name_prefix="sync-fsync") as pool:
            for _ in pool.map(self._sync_some, [files[number::threads] for number in range(threads)]):
                pass

    def _sync_some(self, files: Sequence[PendingFile]) -> None:
        for file in files:
            try:
                descriptor = file.held if file.held >= 0 else self._reopen(file)
                try:
                    os.fsync(descriptor)
                finally:
                    if descriptor != file.held:
                        os.close(descriptor)
            except OSError as error:
                raise file_error("write", file.path, self._location, error) from error
