"""Hold lock files next to an SQLite database file, so that two syncs do not write one table at the same time.

SQLite's own lock on the database lasts only for a transaction, but a sync downloads before it begins one.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection

from airflow_provider_sync.databases.locks import TableLock, busy, lost
from airflow_provider_sync.exceptions import TableError

_POLL_SECONDS = 0.05

# Without O_NONBLOCK, opening a FIFO in the place of the file would block.
_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

_LOCK = re.compile(r"-sync-[0-9a-f]{16}\.lock$")
"""Suffix of a lock file's name, after the name of its database."""

IN_MEMORY = ":memory:"
"""Placeholder path of a database without a file, which needs no lock files since nobody else can use it."""


def lock_path(connection: Connection, schema: str, table: str) -> Path:
    """Return the path of a table's lock file."""
    rows = connection.exec_driver_sql("SELECT file FROM pragma_database_list WHERE lower(name) = lower(?)", (schema,))
    digest = hashlib.sha256(table.lower().encode()).hexdigest()[:16]
    path = Path(rows.scalar() or IN_MEMORY)
    return path.with_name(f"{path.name}-sync-{digest}.lock")


@contextmanager
def hold_locks(names: Mapping[str, str], *, timeout: float) -> Iterator[TableLock]:
    """Hold exclusive locks on files, taken in the given order; each file is created for the lock and removed afterwards.

    The operating system frees the locks when the process dies; files that remain then lock nobody out.

    :param names: names of the tables by the paths of their lock files
    :param timeout: seconds to wait for all locks together
    :raises LockTimeoutError: when another sync holds one of the locks for longer
    """
    deadline = time.monotonic() + timeout
    with ExitStack() as locks:
        held = {}
        for key, name in names.items():
            path = Path(key)
            if not path.name.startswith(IN_MEMORY):
                held[path] = _acquire(path, deadline, name, timeout)
                locks.callback(_release, path, held[path])
        yield _HeldLocks(held, names)


class _HeldLocks:
    def __init__(self, held: Mapping[Path, int], names: Mapping[str, str]) -> None:
        self._held = held
        self._names = names

    def check(self) -> None:
        """Check that the lock files still exist: without its file, another sync can take a lock."""
        gone = [self._names[str(path)] for path, handle in self._held.items() if not _is_current(handle, path)]
        if gone:
            raise lost(gone, "another process removed its lock file")


def _release(path: Path, handle: int) -> None:
    # Remove the file while it is still locked: a process that waits for the old file then finds another one, or none, under its
    # name. In a sticky directory, another user's file cannot be removed, but it locks nobody out.
    if _is_current(handle, path):
        with suppress(OSError):
            path.unlink()
    os.close(handle)


def _acquire(path: Path, deadline: float, name: str, timeout: float) -> int:
    while True:
        handle = _open(path, name)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(handle, path):
                return handle
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(handle)
                raise busy(name, timeout) from None
            time.sleep(_POLL_SECONDS)
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _open(path: Path, name: str) -> int:
    """Open or create the lock file; refuse anything but a regular file, links included."""
    try:
        while True:
            try:
                handle = _open_existing(path)
                break
            except FileNotFoundError:
                with suppress(FileExistsError):
                    handle = _create(path)
                    break
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise FileExistsError(errno.EEXIST, "something that is no plain file has its name")
    except OSError as error:
        reason = "a link has its name" if error.errno == errno.ELOOP else error.strerror
        raise TableError(
            f"Table {name!r}: cannot use the lock file {str(path)!r} beside the database: {reason}."
            " Let this user write to the directory of the database; a lock file that another user has left there may be removed"
            " when no sync runs."
        ) from error
    return handle


def _open_existing(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | _PLAIN)
    except PermissionError:
        # Read permission is enough to lock the file.
        return os.open(path, os.O_RDONLY | _PLAIN)


def _create(path: Path) -> int:
    """Create the lock file with the owner and permissions of the database, as SQLite does for its own files next to it."""
    database = path.with_name(_LOCK.sub("", path.name)).stat() if _LOCK.search(path.name) else path.parent.stat()
    mode = stat.S_IMODE(database.st_mode) & 0o666
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, mode)
    # Some file systems support neither owners nor permissions.
    with suppress(PermissionError):
        if os.geteuid() == 0:
            # With root as its owner, a file that a killed process leaves behind would lock other users out.
            os.fchown(handle, database.st_uid, database.st_gid)
        # Set the mode explicitly, whatever the umask.
        os.fchmod(handle, mode)
    return handle


def _is_current(handle: int, path: Path) -> bool:
    """Whether the locked file still has its name: the previous holder may have removed it."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), found)
