"""Remember the digests of files, so that no file is read again until it changes.

A row says that a version of a file has a digest. That stays true forever, so rows may be lost, or written by several processes
at the same time. The storage defines the version (:class:`.TreeEntry`); a racy file is not recorded.

In a damaged file, SQLite may return rows of another directory, in another order, or with values of other types. A checksum
detects such rows, and they are ignored.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from types import TracebackType
from typing import Any, Self, TypeVar
from zlib import crc32

from airflow_provider_sync.files.cache_file import CacheFile
from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST, path_order

_SCHEMA_VERSION = 2
_SCHEMA = """
CREATE TABLE roots (root INTEGER PRIMARY KEY, location TEXT, used INTEGER);
CREATE TABLE files (
  root INTEGER, path BLOB, size INTEGER, version BLOB, digest BLOB, checksum INTEGER, PRIMARY KEY (root, path)
) WITHOUT ROWID;
CREATE TABLE chunks (
  root INTEGER, path BLOB, size INTEGER, version BLOB, chunks BLOB, checksum INTEGER, PRIMARY KEY (root, path)
);
CREATE TABLE states (root INTEGER, key TEXT, source TEXT, target TEXT, checksum INTEGER, PRIMARY KEY (root, key)) WITHOUT ROWID
"""
_TABLES = ("files", "chunks", "states", "roots")
# Maximum number of rows in one transaction, so that other processes do not wait for long.
_WRITTEN = 5_000
# Rows of one query.
_ROWS = 2_000
_DAY_SECONDS = 86_400
_DAYS_UNUSED = 90

_COLUMNS = "path, size, version, digest, checksum"
# A third faster than INSERT OR REPLACE, which deletes and inserts.
_RECORD = (
    "INSERT INTO files VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
    " size = excluded.size, version = excluded.version, digest = excluded.digest, checksum = excluded.checksum"
)
_FOUND = 100
# Entries that are looked up in one query.
_LOOKED_UP = 500

T = TypeVar("T")
_Row = tuple[bytes, int, bytes, bytes, int]


class DigestCache:
    """The cached digests of files in all directories of this machine; a context manager.

    Its methods, and those of its roots, may be called from several threads and processes. They never fail: if the file cannot be
    read, digests are unknown, and if it cannot be written, they are not recorded.

    :param path: path of the file, which is created if missing; ``None`` for an empty cache
    """

    def __init__(self, path: str | None) -> None:
        self._file = CacheFile(path, _SCHEMA, _SCHEMA_VERSION) if path is not None else None

    def root(self, location: str, *, algorithm: str = FILE_DIGEST, scope: str = "") -> CachedRoot:
        """Return the cached digests of one directory.

        :param location: names the directory on this machine, as :attr:`.Storage.location` of an unnamed storage does
        :param algorithm: of the digests
        :param scope: what selects files, if several walks of the directory select different ones: a walk forgets what it does not
            find in its own scope
        """
        return CachedRoot(self._file, location, algorithm, scope)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


class CachedRoot:
    """The cached digests of one directory."""

    def __init__(self, file: CacheFile | None, location: str, algorithm: str, scope: str) -> None:
        self._file = file
        self._location = location
        name = "\0".join((location, algorithm, scope)).encode("utf-8", "surrogateescape")
        # Not a number from a table, which would mean another directory after the file was created anew.
        self._root = int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "big", signed=True)
        self._noted = False
        self._indexed: sqlite3.Connection | None = None
        self._by_digest = f"by_digest_{self._root & 0xFFFF_FFFF_FFFF_FFFF:x}"

    def known(self, entries: Iterable[TreeEntry], *, whole: bool = False) -> Iterator[TreeEntry]:
        """Yield all entries, with the digest of each file whose current version is in the cache.

        Memory does not grow with their number.

        :param whole: whether these are all entries of a walk, in the order of paths: an entry then costs less, and what is not
            among them is forgotten
        """
        if self._file is None:
            yield from entries
        elif whole:
            self._note_use()
            yield from self._merged(entries)
        else:
            waiting = iter(entries)
            while batch := list(islice(waiting, _LOOKED_UP)):
                yield from self._looked_up(batch)

    def _merged(self, entries: Iterable[TreeEntry]) -> Iterator[TreeEntry]:
        rows = self._rows()
        row = next(rows, None)
        gone: list[bytes] = []
        for entry in entries:
            if entry.kind != "file":
                yield entry
                continue
            path = path_order(entry.path)
            while row is not None and row[0] < path:
                gone.append(row[0])
                if len(gone) == _ROWS:
                    self._forget(gone)
                row = next(rows, None)
            if row is not None and row[0] == path:
                digest = self._digest_of(entry, row)
                yield entry if digest is None else entry.with_digest(digest)
                row = next(rows, None)
            else:
                yield entry
        while row is not None:
            gone.append(row[0])
            if len(gone) == _ROWS:
                self._forget(gone)
            row = next(rows, None)
        self._forget(gone)

    def _looked_up(self, entries: list[TreeEntry]) -> Iterator[TreeEntry]:
        digest_of = self.look_up(entry.path for entry in entries if entry.kind == "file")
        for entry in entries:
            digest = digest_of(entry)
            yield entry if digest is None else entry.with_digest(digest)

    def look_up(self, paths: Iterable[str]) -> Callable[[TreeEntry], bytes | None]:
        """Return a function that gives the digests of files at some paths, by entries that it is given later.

        It gives ``None`` for a version that is unknown.

        :param paths: not many; they are looked up at once
        """
        names = [path_order(path) for path in paths]
        rows: dict[bytes, _Row] = {}
        for start in range(0, len(names), _LOOKED_UP):
            asked = names[start : start + _LOOKED_UP]
            statement = f"SELECT {_COLUMNS} FROM files WHERE root = ? AND path IN ({','.join('?' * len(asked))})"
            rows.update((row[0], row) for row in self._select(statement, self._root, *asked))

        def digest_of(entry: TreeEntry) -> bytes | None:
            row = rows.get(path_order(entry.path))
            return None if row is None else self._digest_of(entry, row)

        return digest_of

    def record(self, entries: Iterable[TreeEntry]) -> None:
        """Remember the digests of entries; those without a digest, and racy files, are passed over."""
        if self._file is None:
            return
        self._note_use()
        rows = self._rows_of(entries)
        while batch := list(islice(rows, _WRITTEN)):
            self._write(_RECORD, batch)

    def _rows_of(self, entries: Iterable[TreeEntry]) -> Iterator[tuple[int, bytes, int, bytes, bytes, int]]:
        root = self._root
        for entry in entries:
            digest, version = entry.digest, entry.version
            if digest is not None and version and not entry.racy:
                path, size = path_order(entry.path), entry.size
                yield root, path, size, version, digest, _checksum(root, path, size, version, digest)

    def find(self, digest: bytes, size: int) -> Iterator[TreeEntry]:
        """Yield files that had this content when the first search began, with size, version and digest and nothing else.

        Of very many, such as empty files, these are only some. Whether a file is still there, and still this version, is for the
        caller to check.
        """

        def search(connection: sqlite3.Connection) -> list[_Row]:
            self._index_digests(connection)
            statement = f"SELECT {_COLUMNS} FROM temp.{self._by_digest} WHERE digest = ? AND size = ? LIMIT {_FOUND}"
            return connection.execute(statement, (digest, size)).fetchall()

        nothing: list[_Row] = []
        for row in self._run(search, nothing):
            path, _, version, _, _ = row
            if self._is_whole(row):
                yield TreeEntry(path.replace(b"\0", b"/").decode(), "file", size, version=version, digest=digest)

    def chunks(self, entry: TreeEntry) -> ChunkList | None:
        """Return the chunks of this version of a file, if they are known."""
        if entry.racy or not entry.version:
            return None
        path = path_order(entry.path)
        for size, version, chunks, checksum in self._select(
            "SELECT size, version, chunks, checksum FROM chunks WHERE root = ? AND path = ?", self._root, path
        ):
            known = (size, version) == (entry.size, entry.version) and isinstance(chunks, bytes)
            if known and checksum == _checksum(self._root, path, size, version, chunks):
                return ChunkList.from_bytes(chunks)
        return None

    def record_chunks(self, entry: TreeEntry, chunk_list: ChunkList) -> None:
        """Remember the chunks of a file, unless it is racy."""
        if entry.racy or not entry.version:
            return
        self._note_use()
        path, size, version, chunks = path_order(entry.path), entry.size, entry.version, chunk_list.to_bytes()
        row = (self._root, path, size, version, chunks, _checksum(self._root, path, size, version, chunks))
        self._write("INSERT OR REPLACE INTO chunks VALUES (?, ?, ?, ?, ?, ?)", [row])

    def state(self, key: str) -> tuple[str, str] | None:
        """Return the states of source and target after the last complete sync, if they were recorded.

        :param key: key made of the source and the options that select what is synced
        """
        for source, target, checksum in self._select(
            "SELECT source, target, checksum FROM states WHERE root = ? AND key = ?", self._root, key
        ):
            is_text = isinstance(source, str) and isinstance(target, str)
            if is_text and checksum == _state_checksum(self._root, key, source, target):
                return source, target
        return None

    def record_state(self, key: str, source_state: str, target_state: str) -> None:
        """Remember the states of source and target after a complete sync; see :class:`.TreeState`."""
        self._note_use()
        row = (self._root, key, source_state, target_state, _state_checksum(self._root, key, source_state, target_state))
        self._write("INSERT OR REPLACE INTO states VALUES (?, ?, ?, ?, ?)", [row])

    def _rows(self) -> Iterator[_Row]:
        """Yield all rows of files in the order of paths, page by page, since an open query would block writers."""
        after = b""
        while page := self._select(
            f"SELECT {_COLUMNS} FROM files WHERE root = ? AND path > ? ORDER BY path LIMIT {_ROWS}", self._root, after
        ):
            for row in page:
                if not isinstance(row[0], bytes) or row[0] <= after:
                    return  # the file is damaged
                after = row[0]
                yield row

    def _digest_of(self, entry: TreeEntry, row: _Row) -> bytes | None:
        """Return the digest of a row, if that is about this version of the file."""
        _, size, version, digest, _ = row
        known = version == entry.version and size == entry.size and entry.kind == "file" and not entry.racy
        return digest if known and version and self._is_whole(row) else None

    def _is_whole(self, row: _Row) -> bool:
        path, size, version, digest, checksum = row
        try:
            return _checksum(self._root, path, size, version, digest) == checksum
        except TypeError:
            return False

    def _index_digests(self, connection: sqlite3.Connection) -> None:
        """Sort what is known now by digest, in a table of this connection.

        An index of the lasting table would slow every record down (300,000 rows: from 7 to 23 µs each).
        """
        if self._indexed is connection:
            return
        table = f"temp.{self._by_digest}"
        columns = f"{_COLUMNS}, PRIMARY KEY (digest, path)"
        connection.execute(f"DROP TABLE IF EXISTS {table}")
        connection.execute(f"CREATE TABLE {table} ({columns}) WITHOUT ROWID")
        query = f"SELECT {_COLUMNS} FROM files WHERE root = ? ORDER BY digest, path"
        connection.execute(f"INSERT INTO {table} {query}", (self._root,))
        self._indexed = connection

    def _note_use(self) -> None:
        """Record, once a day, that this directory is in use, and delete directories that have not been used for long."""
        if self._noted:
            return
        self._noted = True
        today = int(time.time() / _DAY_SECONDS)

        def note(connection: sqlite3.Connection) -> None:
            row = connection.execute("SELECT used FROM roots WHERE root = ?", (self._root,)).fetchone()
            if row is not None and row[0] == today:
                return
            with _transaction(connection):
                # Only for people who look at the file. SQLite requires UTF-8.
                location = self._location.encode("utf-8", "backslashreplace").decode()
                connection.execute("INSERT OR REPLACE INTO roots VALUES (?, ?, ?)", (self._root, location, today))
                unused = "SELECT root FROM roots WHERE used < ?"
                for table in _TABLES:
                    connection.execute(f"DELETE FROM {table} WHERE root IN ({unused})", (today - _DAYS_UNUSED,))

        self._run(note, None)

    def _forget(self, paths: list[bytes]) -> None:
        """Remove rows of files that are gone, and empty the list."""
        rows = [(self._root, path) for path in paths]
        paths.clear()
        for table in ("files", "chunks"):
            self._write(f"DELETE FROM {table} WHERE root = ? AND path = ?", rows)

    def _write(self, statement: str, rows: list[tuple[Any, ...]]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            with _transaction(connection):
                connection.executemany(statement, rows)

        if rows:
            self._run(write, None)

    def _select(self, statement: str, *arguments: Any) -> list[Any]:
        return self._run(lambda connection: connection.execute(statement, arguments).fetchall(), [])

    def _run(self, operation: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        return self._file.run(operation, otherwise) if self._file is not None else otherwise


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end of the block; where it fails, :class:`.CacheFile` rolls back."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _checksum(root: int, path: bytes, size: int, version: bytes, value: bytes) -> int:
    return crc32(path + version + value, (root ^ size) & 0xFFFF_FFFF)


def _state_checksum(root: int, key: str, source_state: str, target_state: str) -> int:
    return _checksum(root, key.encode("utf-8", "surrogateescape"), 0, source_state.encode(), target_state.encode())
