"""Lock files beside an SQLite database file that keep two syncs of one table apart.

SQLite's own lock on the whole database lasts only as long as a transaction, and a sync downloads before it opens one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection

from airflow_provider_sync.exceptions import TableError
from airflow_provider_sync.tables.engines.locks import TableLock, busy, lost

_POLL_SECONDS = 0.05


IN_MEMORY = ":memory:"
"""Where the locks of a database without a file would lie; there is nobody to keep out of it."""


def lock_path(connection: Connection, schema: str, table: str) -> Path:
    """Return where the lock file of a table lies."""
    rows = connection.exec_driver_sql("SELECT file FROM pragma_database_list WHERE lower(name) = lower(?)", (schema,))
    digest = hashlib.sha256(table.lower().encode()).hexdigest()[:16]
    path = Path(rows.scalar() or IN_MEMORY)
    return path.with_name(f"{path.name}-sync-{digest}.lock")


@contextmanager
def hold_locks(names: Mapping[str, str], *, timeout: float) -> Iterator[TableLock]:
    """Hold an exclusive lock on each file, which is made for it and removed at the end, in their order.

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
        """Look whether the lock files are still there: whoever removed one has let others in."""
        gone = [self._names[str(path)] for path, handle in self._held.items() if not _is_current(handle, path)]
        if gone:
            raise lost(gone, "somebody removed its lock file")


def _release(path: Path, handle: int) -> None:
    # Removed while it is still locked: whoever waits on the old file finds another one, or none, under its name.
    if _is_current(handle, path):
        # A file that stays locks nobody out.
        with suppress(OSError):
            path.unlink()
    os.close(handle)


def _acquire(path: Path, deadline: float, name: str, timeout: float) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TableError(
                f"Table {name!r}: cannot make the lock file {path.name!r} beside the database: {error.strerror}."
                " Let this user write to the directory of the database."
            ) from error
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


def _is_current(handle: int, path: Path) -> bool:
    """Whether the file that was locked is still the one under its name: its last holder may have removed it meanwhile."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), found)
