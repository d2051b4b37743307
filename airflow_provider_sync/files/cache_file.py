"""A SQLite file used as a cache: if it is damaged, locked, read-only or missing, that costs time but is never an error.

Without ``fsync``: after a power cut the file may be damaged. SQLite finds most of that; rows have a checksum of their own
(:mod:`.digest_cache`), so that no wrong one is believed. A process that is killed leaves the file whole: SQLite's journal sees to
that. Of its journals, the rollback journal measured best (10,000 rows: 60 ms; write-ahead log: 75 ms, and 40 ms more to close the
file), and it works on network file systems.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")

# "apsc", at bytes 68 to 71 of the file.
_APPLICATION_ID = 0x61707363
_ID_OFFSET = 68
_BUSY_SECONDS = 0.2
# After a wait this long for another process, the file is not used for a while.
_PAUSE_SECONDS = 5.0
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_UNWRITABLE = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_MISMATCH)


class _OtherVersionError(sqlite3.DatabaseError):
    """The file has tables of another schema version."""


class CacheFile:
    """Runs operations on a SQLite file, from any thread, one at a time; the first operation opens it.

    :param path: path of the file, which need not exist; it is created readable for its owner only
    :param schema: statements that create the tables
    :param version: version of the schema; a file of another version is replaced
    """

    def __init__(self, path: str, schema: str, version: int) -> None:
        self._path = Path(path).expanduser()
        self._schema = schema
        self._version = version
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._paused_until = 0.0
        self._given_up = False
        self._made_anew = False

    def run(self, operation: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        """Call ``operation`` with a connection, and return its result; return ``otherwise`` if the file cannot be used.

        :param operation: rolled back and called again if a damaged file was replaced
        """
        with self._lock:
            while not self._given_up and time.monotonic() >= self._paused_until:
                try:
                    if self._connection is None:
                        self._connection = self._open()
                    return operation(self._connection)
                except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
                    self._failed(error)
            return otherwise

    def close(self) -> None:
        """Close the file; the next operation opens it again."""
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._connection is not None:
            # Losing cached data is never an error.
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A FIFO in its place must not block.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(f"{self._path} is not a regular file")
            if status.st_uid != os.geteuid():
                raise OSError(f"{self._path} belongs to another user")
            if status.st_size and os.pread(descriptor, 4, _ID_OFFSET) != _APPLICATION_ID.to_bytes(4, "big"):
                raise OSError(f"{self._path} is not a digest cache, and is left alone")
        finally:
            os.close(descriptor)
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA synchronous = OFF")
            if connection.execute("PRAGMA user_version").fetchone()[0] != self._version:
                self._make_tables(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        connection.execute("BEGIN IMMEDIATE")
        # Another process may have been faster.
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version != self._version:
            if version:
                raise _OtherVersionError("another version of this package made it")
            connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            for statement in self._schema.split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {self._version}")
        connection.execute("COMMIT")

    def _failed(self, error: sqlite3.Error | OSError | UnicodeDecodeError) -> None:
        # Extended codes have the plain one in their lowest byte.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in _BUSY:
            if self._connection is not None and self._connection.in_transaction:
                self._connection.rollback()
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            log.info("The digest cache %s is locked by another process: going on without it", self._path)
            return
        self._close()
        # Of an error that quotes damaged names, Python cannot even read the message.
        damaged = code in _DAMAGED or isinstance(error, _OtherVersionError | UnicodeDecodeError)
        if damaged and not self._made_anew:
            self._made_anew = True
            log.warning("The digest cache %s cannot be read (%s): it is made anew", self._path, error)
            for ending in ("", "-journal", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    Path(f"{self._path}{ending}").unlink()
            return
        self._given_up = True
        unwritable = code in _UNWRITABLE or getattr(error, "errno", None) in (errno.EACCES, errno.EPERM, errno.EROFS)
        level = logging.DEBUG if unwritable else logging.WARNING
        log.log(level, "The digest cache %s cannot be used, so that files are read more often: %s", self._path, error)
