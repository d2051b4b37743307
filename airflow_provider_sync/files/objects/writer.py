"""Write a tree of objects, with many uploads at once, because each waits for the store.

An object appears under its name when its upload is complete, and is durable then, so a commit only waits for uploads. What stores
do not have, such as links, is refused.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Protocol, Self

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError, SyncError
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.files.objects.api import ObjectApi
from airflow_provider_sync.files.objects.new_file import ObjectNewFile
from airflow_provider_sync.files.objects.streams import StoreWriter, answering
from airflow_provider_sync.files.objects.throttling import is_other_version
from airflow_provider_sync.files.objects.uploads import Made
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup, Metadata, OnFailure

CONCURRENCY = 16
_MAX_WAITING_BYTES = 64 * 1024 * 1024
_MAX_REMOVED = 1000
_BACKUP_TRIES = 3
_RUN = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{6})Z")
_TIME = "%Y-%m-%dT%H%M%S"


class Objects(Protocol):
    """The methods of the storage that the writer uses."""

    location: str

    def check(self, path: str) -> None:
        """Refuse a path that is no name of an object.

        :raises FileError: for such a path
        """
        ...

    def entry(self, path: str) -> TreeEntry:
        """Return the current entry of an object from the store."""
        ...

    def upload(self, path: str, size: int, mtime_ns: int | None) -> AbstractContextManager[StoreWriter]:
        """Upload a large object, which appears at the end of the block."""
        ...

    def paths(self, folder: str) -> Iterator[str]:
        """Yield the paths of all objects in a folder."""
        ...


class ObjectTreeWriter:
    """Writes below one prefix; see :class:`~.tree_writer.TreeWriter`.

    :param objects: the storage
    :param api: see :class:`~.objects.api.ObjectApi`
    :param backup: a prefix below the root
    :param on_failure: see :data:`~.tree_writer.OnFailure`; without it a commit raises the first error at its end
    """

    def __init__(
        self, objects: Objects, api: ObjectApi, *, backup: Backup | None = None, on_failure: OnFailure | None = None
    ) -> None:
        self._objects = objects
        self._api = api
        self._backup = backup
        self._on_failure = on_failure
        self._run = datetime.now(UTC).strftime(_TIME) + "Z"
        self._room = threading.Condition()
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._begun: list[tuple[str, Future[TreeEntry]]] = []
        self._removed: set[str] = set()
        self._backed_up: set[str] = set()
        self._new_files: set[ObjectNewFile] = set()

    def __enter__(self) -> Self:
        self._pool = ThreadPoolExecutor(CONCURRENCY, "uploads")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self.commit()
                self._remove_old_backups()
        finally:
            for new_file in list(self._new_files):
                new_file.discard()
            self._pool.shutdown(cancel_futures=True)

    def put(self, path: str, data: bytes | memoryview, metadata: Metadata) -> None:
        """Upload a small object; wait only while too many other uploads are running."""
        self._objects.check(path)
        # A copy, because a view would keep the whole received buffer in memory until the upload has ended.
        content = bytes(data)
        self._begin(path, len(content), lambda: self._put(path, content, metadata))

    def _put(self, path: str, data: bytes, metadata: Metadata) -> TreeEntry:
        self._back_up(path)
        with answering("write", path, self._objects.location):
            mtime_ns, version = self._api.put(path, data, metadata.mtime_ns)
        return TreeEntry(path, "file", len(data), mtime_ns, 0, version)

    def create(self, path: str, *, size: int, metadata: Metadata, resume_key: str | None = None) -> ObjectNewFile:
        """Begin the upload of a large object, in parts. A later writer cannot resume it."""
        self._objects.check(path)
        self._flush_if_removed(path)
        self._back_up(path)

        def complete(made: Made | None) -> None:
            done: Future[TreeEntry] = Future()
            # Asked only if the upload's answer had no version: another writer may have replaced the object since.
            done.set_result(TreeEntry(path, "file", size, made[0], 0, made[1]) if made else self._objects.entry(path))
            with self._lock:
                self._begun.append((path, done))

        def end() -> None:
            self._new_files.discard(new_file)

        upload = self._objects.upload(path, size, metadata.mtime_ns)
        new_file = ObjectNewFile(path, self._objects.location, upload, on_complete=complete, on_end=end)
        self._new_files.add(new_file)
        return new_file

    def copy(self, path: str, from_path: str, metadata: Metadata, *, move: bool = False, version: bytes | None = None) -> None:
        """Copy an object inside the store, without downloading it."""
        self._objects.check(path)
        self._objects.check(from_path)

        def work() -> TreeEntry:
            self._back_up(path)
            return self._copy(from_path, path, metadata.mtime_ns, version)

        self._begin(path, 0, work)

    def _copy(self, from_path: str, path: str, mtime_ns: int | None, version: bytes | None) -> TreeEntry:
        try:
            with answering("read", from_path, self._objects.location):
                return self._api.copy(from_path, path, mtime_ns, version)
        except MissingFileError as error:
            raise self._changed(from_path, "is gone") from error
        except SyncError as error:
            if not is_other_version(error):
                raise
            raise self._changed(from_path, "changed since it was compared") from error

    def _changed(self, path: str, how: str) -> FileChangedError:
        return FileChangedError(f"{path!r} in {self._objects.location} {how}. Compare again.")

    def make_directory(self, path: str, metadata: Metadata) -> None:
        """Do nothing: stores have no directories."""

    def make_link(self, path: str, target: str) -> None:
        """Refuse: stores have no links.

        :raises FileError: always
        """
        raise FileError(
            f"{path!r} is a symbolic link, which object storage such as {self._objects.location} does not have. "
            "Leave links out (`links: skip`), or copy what they lead to (`links: follow`)."
        )

    def set_metadata(self, path: str, metadata: Metadata) -> TreeEntry | None:
        """Set the time of modification, by a copy inside the store; stores have no permissions."""
        self._objects.check(path)
        if metadata.mtime_ns is not None:
            return self._copy(path, path, metadata.mtime_ns, None)
        return self._objects.entry(path)

    def date_directory(self, path: str, mtime_ns: int) -> None:
        """Do nothing: stores have no directories."""

    def remove(self, path: str) -> None:
        """Remove an object, together with many others in one request, by the next commit at the latest."""
        self._objects.check(path)
        with self._lock:
            self._removed.add(path)
            many = len(self._removed) >= _MAX_REMOVED
        if many:
            self._flush_removed()

    def remove_directory(self, path: str) -> bool:
        """Return ``True``: stores have no directories, so a folder is gone with its last object."""
        return True

    def commit(self) -> list[TreeEntry]:
        """Wait for all uploads and copies, then send the pending removals."""
        with self._lock:
            begun, self._begun = self._begun, []
        entries: list[TreeEntry] = []
        first: FileError | None = None
        for path, future in begun:
            try:
                entries.append(future.result())
            except FileError as error:
                if not is_about_one_file(error.__cause__):
                    raise
                if self._on_failure is not None:
                    self._on_failure(path, error)
                first = first or error
        self._flush_removed()
        if first is not None and self._on_failure is None:
            raise first
        return entries

    def _begin(self, path: str, size: int, work: Callable[[], TreeEntry]) -> None:
        """Run ``work`` in another thread, once memory has room for its content."""
        self._flush_if_removed(path)
        with self._room:
            self._room.wait_for(lambda: not self._waiting_bytes or self._waiting_bytes + size <= _MAX_WAITING_BYTES)
            self._waiting_bytes += size

        def end(_: Future[TreeEntry]) -> None:
            with self._room:
                self._waiting_bytes -= size
                self._room.notify_all()

        future = self._pool.submit(work)
        future.add_done_callback(end)
        with self._lock:
            self._begun.append((path, future))

    def _flush_if_removed(self, path: str) -> None:
        """Send a pending removal of an object before the object is written again."""
        with self._lock:
            is_removed = path in self._removed
        if is_removed:
            self._flush_removed()

    def _flush_removed(self) -> None:
        with self._lock:
            paths, self._removed = sorted(self._removed), set()
            begun = [future for _, future in self._begun]
        if not paths:
            return
        # Objects that are removed may still be the source of running copies.
        wait(begun)
        if self._backup is not None:
            for done in [self._pool.submit(self._back_up, path) for path in paths]:
                done.result()
        count = self._api.max_deletes
        failed: dict[str, FileError] = {}
        requests = [self._pool.submit(self._delete, paths[start : start + count]) for start in range(0, len(paths), count)]
        for request in requests:
            failed |= request.result()
        for path, error in failed.items():
            if self._on_failure is None:
                raise error
            self._on_failure(path, error)

    def _delete(self, paths: list[str]) -> dict[str, FileError]:
        """Delete objects; return the error of each that could not be deleted."""
        location = self._objects.location
        try:
            with answering("delete", paths[0] if len(paths) == 1 else "", location):
                failed = self._api.delete(paths)
        except FileError as error:
            refused: dict[str, FileError] = dict.fromkeys(paths, error)
            return refused
        return {
            path: FileError(f"Cannot delete {path!r} in {location}: {why}. Check the credentials, and try again.")
            for path, why in failed.items()
        }

    def _back_up(self, path: str) -> None:
        """Copy an object that is about to be replaced or removed to the backup, if it exists."""
        if self._backup is None:
            return
        with self._lock:
            # A path that comes a second time holds this run's own object.
            if path in self._backed_up:
                return
            self._backed_up.add(path)
        kept = f"{self._backup.folder.strip('/')}/{self._run}/{path}"
        with suppress(MissingFileError):
            for tries_left in reversed(range(_BACKUP_TRIES)):
                try:
                    with answering("read", path, self._objects.location):
                        self._api.copy(path, kept, None, None)
                    return
                except SyncError as error:
                    # Another writer has replaced it since: back up the current object.
                    if not (tries_left and is_other_version(error)):
                        raise

    def _remove_old_backups(self) -> None:
        """Remove the backups of runs that are older than the configured number of days."""
        if self._backup is None or self._backup.days is None:
            return
        limit = datetime.now(UTC) - timedelta(days=self._backup.days)
        folder = self._backup.folder.strip("/")
        self._backup = None
        for path in self._objects.paths(folder):
            run = _RUN.fullmatch(path[len(folder) + 1 :].partition("/")[0])
            with suppress(ValueError):  # no date
                if run is not None and datetime.strptime(run[1], _TIME).replace(tzinfo=UTC) < limit:
                    self.remove(path)
        self._flush_removed()
