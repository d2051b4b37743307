"""A lock beside an SQLite database file that keeps two syncs of one table apart.

SQLite's own lock on the whole database lasts only as long as a transaction, and a sync downloads before it opens one.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from airflow_provider_sync.exceptions import TableBusyError, TableError

_POLL_SECONDS = 0.05


@contextmanager
def lock_file(path: Path, *, timeout: float, label: str) -> Iterator[None]:
    """Hold an exclusive lock on ``path``, which is made for it and removed at the end.

    The operating system frees the lock when the process dies; the file that it then leaves behind locks nobody out.

    :param timeout: seconds to wait
    :param label: what is locked, for messages
    :raises TableBusyError: when somebody else holds the lock for longer
    """
    handle = _acquire(path, time.monotonic() + timeout, label, timeout)
    try:
        yield
    finally:
        # Removed while it is still locked: whoever waits on the old file finds another one, or none, under its name.
        with suppress(FileNotFoundError):
            path.unlink()
        os.close(handle)


def _acquire(path: Path, deadline: float, label: str, timeout: float) -> int:
    while True:
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TableError(
                f"{label}: cannot make the lock file {path.name!r} beside the database: {error.strerror}."
                " Let this user write to the directory of the database."
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(handle, path):
                return handle
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(handle)
                raise TableBusyError(
                    f"{label}: another sync holds its lock for more than {timeout:g} seconds. Try again when it has ended."
                ) from None
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
