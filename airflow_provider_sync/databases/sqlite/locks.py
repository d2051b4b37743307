"""Lock files beside an SQLite database file that prevent two syncs of one table at a time.

SQLite's own lock on the whole database lasts only as long as a transaction, and a sync downloads before it opens one.
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

# A FIFO in its place would keep an open for reading waiting without O_NONBLOCK.
_PLAIN = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK

_LOCK = re.compile(r"-sync-[0-9a-f]{16}\.lock$")
"""Suffix of a lock file's name after that of its database."""

IN_MEMORY = ":memory:"
"""Where the locks of a database without a file would lie; there is nobody to keep out of it."""


def lock_path(connection: Connection, schema: str, table: str) -> Path:
    """Return the path of a table's lock file."""
    rows = connection.exec_driver_sql("SELECT file FROM pragma_database_list WHERE lower(name) = lower(?)", (schema,))
    digest = hashlib.sha256(table.lower().encode()).hexdigest()[:16]
    path = Path(rows.scalar() or IN_MEMORY)
    return path.with_name(f"{path.name}-sync-{digest}.lock")


@contextmanager
def hold_locks(names: Mapping[str, str], *, timeout: float) -> Iterator[TableLock]:
    """Hold exclusive locks on files, taken in the given order; each file is created for the lock and removed afterwards.

    The operating system frees the locks when the process dies; the files that it then leaves behind lock nobody out.

    :param names: of tables, by the paths of their lock files
    :param timeout: seconds to wait for all of them together
    :raises TableBusyError: when another sync holds one for longer
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
        """Check that the lock files still exist: without one, another sync can take the lock."""
        gone = [self._names[str(path)] for path, handle in self._held.items() if not _is_current(handle, path)]
        if gone:
            raise lost(gone, "somebody removed its lock file")


def _release(path: Path, handle: int) -> None:
    # Removed while it is still locked: whoever waits on the old file finds another one, or none, under its name. In a folder
    # where everybody may remove only what is theirs, somebody else's file stays, and locks nobody out.
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
    """Open the lock file, or create it; refuse links and anything but a plain file."""
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
        # Whoever may read it may lock it.
        return os.open(path, os.O_RDONLY | _PLAIN)


def _create(path: Path) -> int:
    """Make the lock file for whoever may use the database, as SQLite makes the files beside one; for nobody else."""
    database = path.with_name(_LOCK.sub("", path.name)).stat() if _LOCK.search(path.name) else path.parent.stat()
    mode = stat.S_IMODE(database.st_mode) & 0o666
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _PLAIN, mode)
    # Some file systems support neither owners nor permissions.
    with suppress(PermissionError):
        if os.geteuid() == 0:
            # Left behind by a process that was killed, it would lock everybody else out.
            os.fchown(handle, database.st_uid, database.st_gid)
        # Whatever the umask is.
        os.fchmod(handle, mode)
    return handle


def _is_current(handle: int, path: Path) -> bool:
    """Whether the locked file still has its name: the last holder may have removed it meanwhile."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), found)
