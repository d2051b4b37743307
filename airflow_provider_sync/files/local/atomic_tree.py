"""Sync into a copy of a directory, which then atomically replaces the directory.

::

    target ──── hard links ───▶ .airflow-sync-….part ── the sync writes here ── exchange ──▶ target
                                                                                   └──▶ old tree, which is removed

Readers of the directory see either the old or the new tree. A killed sync leaves the old tree and a copy, which the next sync
removes. Files are shared until the sync replaces them, so a copy takes no space and 15 µs for each file.

Changes that another process made in the old tree after it was copied would be lost. So if the old tree is no longer as it was
copied, the trees are exchanged again, and the sync fails.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from airflow_provider_sync.exceptions import ConfigurationError, FileChangedError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.local.linux_calls import exchange
from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse
from airflow_provider_sync.files.local.open_flags import DIRECTORY, ROOT
from airflow_provider_sync.files.local.tree_copy import OnCopied, TreeCopy
from airflow_provider_sync.files.local.tree_names import names_below, names_in
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.paths import TEMPORARY_PREFIX, is_resumable

log = logging.getLogger(__name__)

# There is none, it is something else, the directory above may not be read, or a sync works on it.
_NO_COPY = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EACCES, errno.EWOULDBLOCK)


def copy_name(root_name: str) -> str:
    """Return the name of a directory's copy, in the same parent: always the same, so that a later sync finds it."""
    return f"{TEMPORARY_PREFIX}{sha256(root_name.encode('utf-8', 'surrogateescape')).hexdigest()[:16]}.part"


class AtomicTree:
    """A copy of a local directory beside it.

    :param root: the directory, on which the caller holds a lock
    :param location: the directory, for messages
    :param durable: whether to wait for the disk before the exchange
    """

    def __init__(self, root: Path, location: str, *, durable: bool) -> None:
        self._real = Path(os.path.realpath(root))
        self._location = location
        self._durable = durable
        self.path = self._real.parent / copy_name(self._real.name)
        # Whether the directory with the copy's name may have changes of others, and so must not be removed.
        self._holds_changes = False

    @contextmanager
    def replacing(self, on_replaced: Callable[[int], None], on_copied: OnCopied | None = None) -> Iterator[Path]:
        """Yield the path of the copy; if the block ends without an exception, the copy replaces the directory.

        :param on_replaced: called with the descriptor of the new directory, which is locked as the old one was, and is closed by
            the callee
        :param on_copied: see :data:`~.local.tree_copy.OnCopied`
        :raises ConfigurationError: where two directories cannot be exchanged
        :raises FileError: when the copy cannot be made, or cannot take the place
        :raises FileChangedError: if another process changed the directory in the meantime; its changes are kept
        """
        self._check_possible()
        root = above = copy = -1
        try:
            try:
                root, above = os.open(self._real, ROOT), os.open(self._real.parent, ROOT)
                self._remove_copy(above)
                os.mkdir(self.path.name, 0o700, dir_fd=above)
                copy = os.open(self.path.name, DIRECTORY, dir_fd=above)
                _lock(copy)
                self._check_exchange(copy)
                names = self._fill(root, copy, on_copied)
            except OSError as error:
                raise file_error("copy", str(error.filename or ""), self._location, error) from error
            yield self.path
            self._take_place(above, root, copy, names)
            on_replaced(os.dup(copy))
        except BaseException:
            if copy >= 0:
                _give_back(copy, root)
            raise
        finally:
            # The copy, or the old directory.
            if above >= 0 and not self._holds_changes:
                with suppress(OSError):  # `clean` tries again
                    self._remove_copy(above)
            for descriptor in (root, above, copy):
                if descriptor >= 0:
                    os.close(descriptor)

    def _check_possible(self) -> None:
        if not self._real.name or os.path.ismount(self._real):
            raise ConfigurationError(
                f"atomic: {self._location} is a mount point, which cannot be exchanged with another directory. "
                "Use a folder below it, or leave `atomic` out."
            )

    def _check_exchange(self, copy: int) -> None:
        """Try an exchange, so that an unsupported file system fails before anything is fetched."""
        names = ("one", "other")
        for name in names:
            os.mkdir(name, dir_fd=copy)
        try:
            exchange(*names, directory=copy)
        except OSError as error:
            raise ConfigurationError(
                f"atomic: the file system of {self._location} cannot exchange two directories in one step "
                f"({os.strerror(error.errno or 0)}). Use another one, or leave `atomic` out."
            ) from error
        finally:
            for name in names:
                os.rmdir(name, dir_fd=copy)

    def _fill(self, root: int, copy: int, on_copied: OnCopied | None) -> bytes:
        """Copy everything; return what :func:`~.local.tree_names.names_in` says of the directory as long as it is the same."""
        into = OpenDirectories(copy, refuse, durable=self._durable)
        try:
            tree = TreeCopy(root, copy, location=self._location, into=into, on_copied=on_copied)
            tree.make()
            into.sync_names()
            return tree.names.result()
        finally:
            into.close()

    def _take_place(self, above: int, root: int, copy: int, names: bytes) -> None:
        """Exchange the two directories, or raise an error and leave them where they are.

        :param names: names of the copied entries
        """
        try:
            if self._durable:
                os.fsync(copy)
            self._check_unchanged(above, self._real.name, root, names)
            exchange(self.path.name, self._real.name, directory=above)
            # From here on, only processes that have the old tree open can change it.
            self._holds_changes = True
            try:
                self._check_unchanged(above, self.path.name, root, names)
            except BaseException:
                exchange(self.path.name, self._real.name, directory=above)
                self._holds_changes = False
                raise
            self._holds_changes = False
            if self._durable:
                os.fsync(above)
        except OSError as error:
            raise file_error("replace", "", self._location, error) from error

    def _check_unchanged(self, above: int, name: str, root: int, names: bytes) -> None:
        """Check that what is at ``name`` is the directory that was copied, and holds what was copied.

        :raises FileChangedError: if it is not
        """
        with suppress(FileNotFoundError):
            present = os.stat(name, dir_fd=above, follow_symlinks=False)
            if os.path.samestat(present, os.fstat(root)) and names_in(root) == names:
                return
        raise FileChangedError(
            f"atomic: another process changed {self._location} during the sync. Nothing was synced, to keep that; try again."
        )

    def _remove_copy(self, above: int) -> bool:
        try:
            remove_tree(above, self.path.name)
        except FileNotFoundError:
            return False
        return True

    def clean(self, older_than: float) -> int:
        """Remove the copy of a killed sync; return how many there were.

        :param older_than: seconds since the last change of its root; one that a running sync writes to stays
        """
        above = copy = -1
        try:
            above = os.open(self._real.parent, ROOT)
            copy = os.open(self.path.name, DIRECTORY, dir_fd=above)
            status = os.fstat(copy)
            if older_than > 0 and max(status.st_mtime, status.st_ctime) > time.time() - older_than:
                return 0
            _lock(copy)
            return int(self._remove_copy(above))
        except OSError as error:
            if error.errno in _NO_COPY:
                return 0
            raise
        finally:
            for descriptor in (above, copy):
                if descriptor >= 0:
                    os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Lock a directory as a sync locks its target.

    :raises BlockingIOError: when another process holds the lock
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        # Whoever locked the directory itself was warned.
        log.debug("No lock for the copy of a directory: %s", error)


def _give_back(copy: int, root: int) -> None:
    """Move unfinished downloads back to where the next sync looks for them."""
    directories, originals = OpenDirectories(copy, refuse, durable=False), OpenDirectories(root, refuse, durable=False)
    try:
        for path, is_directory in names_below(directories):
            above, _, name = path.rpartition("/")
            if is_directory or not is_resumable(name):
                continue
            # In a new directory, the download starts from the beginning.
            with suppress(OSError), directories.using(above) as source, originals.using(above) as target:
                os.rename(name, name, src_dir_fd=source, dst_dir_fd=target)
    finally:
        directories.close()
        originals.close()
