"""Store files under a prefix in an object store, or in a directory on any other file system that fsspec supports.

Object stores have no directories, locks or renames, but an object appears only when its upload is complete. How files are written
and deleted on other file systems is in :mod:`.plain_files`.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast
from urllib.parse import urlsplit

from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import ConfigurationError, FileError, SyncError
from airflow_provider_sync.files.objects.api import ObjectApi, describe, modified_ns
from airflow_provider_sync.files.objects.common_api import CommonApi
from airflow_provider_sync.files.objects.filesystems import BACKSLASH_SEPARATES, BUCKET_IN_HOST, FLAT_STORES, protocols_of
from airflow_provider_sync.files.objects.gcs_api import GcsApi
from airflow_provider_sync.files.objects.plain_files import PlainFiles
from airflow_provider_sync.files.objects.s3_api import S3Api
from airflow_provider_sync.files.objects.streams import READ_BYTES, StoreReader, StoreWriter, answering
from airflow_provider_sync.files.objects.throttling import unless_throttled
from airflow_provider_sync.files.objects.uploads import FileUpload, Upload
from airflow_provider_sync.files.objects.walk import can_be_file, walk_objects
from airflow_provider_sync.files.objects.writer import ObjectTreeWriter
from airflow_provider_sync.files.paths import check_name
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import (
    RESUMABLE_SECONDS,
    FileReader,
    OnUnreadable,
    OpenVersion,
    VersionedFile,
)
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup, MayReplace, OnFailure, TreeWriter
from airflow_provider_sync.protocol.v2.file_messages import Links, path_order

if TYPE_CHECKING:
    from airflow_provider_sync.files.digest_cache import CachedRoot

log = logging.getLogger(__name__)

_MIB = 1024 * 1024
_PARTS = 9_000
# Object stores have no locks: an upload younger than this, in seconds, may still be running.
MIN_UPLOAD_AGE = 86_400.0


class ObjectStorage:
    """A :class:`~.storage.Storage` on an fsspec file system.

    :param filesystem: the store
    :param path: the root as a path or URL in it; a connection id before the bucket is dropped
    """

    is_remote = True
    time_step_ns = 1
    keeps_permissions = False
    concurrency = 8

    def __init__(self, filesystem: AbstractFileSystem, path: str) -> None:
        protocols = protocols_of(filesystem)
        if "://" in path and urlsplit(path).scheme in BUCKET_IN_HOST:
            scheme, _, rest = path.partition("://")
            bucket, slash, key = rest.partition("/")
            path = f"{scheme}://{bucket.rpartition('@')[2]}{slash}{key}"
        self._fs = filesystem
        self._root = str(filesystem._strip_protocol(path)).rstrip("/")
        self._flat = not FLAT_STORES.isdisjoint(protocols)
        self._backslash_separates = not BACKSLASH_SEPARATES.isdisjoint(protocols)
        self._api = api_of(filesystem, protocols, self._root)
        self.location = f"{protocols[0]}://{self._root.lstrip('/')}"
        if self._flat and not self._root:
            raise ConfigurationError(f"{path!r} names no bucket. Write {protocols[0]}://bucket/prefix.")

    def named(self, name: str) -> Self:
        """Return this storage with another :attr:`location`; see :meth:`~.storage.Storage.named`."""
        storage = copy(self)
        storage.location = name
        return storage

    def scan(
        self, path_filter: PathFilter = EVERYTHING, *, missing_ok: bool = False, on_unreadable: OnUnreadable | None = None
    ) -> Iterator[TreeEntry]:
        """Yield every object that is selected; see :meth:`~.storage.Storage.scan`.

        A prefix without objects counts as empty, since stores do not know prefixes; a missing bucket is an error.
        Markers of folders are left out: empty objects whose keys end in ``/``.
        """
        for path, info in self._objects(path_filter, missing_ok, on_unreadable):
            yield self._entry(path, info)

    def walk(
        self,
        path_filter: PathFilter = EVERYTHING,
        *,
        links: Links = "skip",
        missing_ok: bool = False,
        on_unreadable: OnUnreadable | None = None,
        on_link: Callable[[str], None] | None = None,
    ) -> Iterator[TreeEntry]:
        """Yield every object that is selected, in the order of paths; see :meth:`~.storage.Storage.walk`. There are no links."""
        if self._api is not None and self._api.lists_by_key:
            with answering("list", "", self.location):
                yield from walk_objects(
                    self._api.pages, self._api.prefix, self.location, path_filter, on_unreadable, is_target=missing_ok
                )
            return
        found = self._objects(path_filter, missing_ok, on_unreadable)
        yield from sorted((self._entry(path, info) for path, info in found), key=lambda entry: path_order(entry.path))

    def open_version(self, path: str, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING) -> VersionedFile:
        """Open an object together with its entry; see :meth:`~.storage.Storage.open_version`."""
        reader, info = self._reader(path)
        return VersionedFile(cast("BinaryIO", reader), self._entry(path, info), lambda: self._is_unchanged(path, info, reader))

    def _reader(self, path: str) -> tuple[StoreReader, dict[str, Any]]:
        """Return an open object, and the store's information about it."""
        key = self._key(path)
        with answering("read", path, self.location):
            # A cached listing would pin a version that may be gone.
            self._fs.invalidate_cache(self._fs._parent(key))
            # File objects that have asked the store for the size cache its answer.
            file = unless_throttled(lambda: self._fs.open(key, "rb", block_size=READ_BYTES, cache_type="none"))
            info = getattr(file, "details", None) or unless_throttled(lambda: self._fs.info(key))
            if info.get("type") == "directory":
                raise IsADirectoryError(errno.EISDIR, "It is a directory")
        return StoreReader(file, path, self.location, int(info["size"])), info

    def opener(self, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING) -> AbstractContextManager[OpenVersion]:
        """Give a function that opens objects; see :meth:`~.storage.Storage.opener`."""
        return nullcontext(self.open_version)

    def _is_unchanged(self, path: str, before: dict[str, Any], reader: StoreReader) -> bool:
        """Whether an object still has the version that ``before`` shows.

        One request reads one version, so only objects that took several requests are checked.
        """
        if self._flat and reader.requests <= 1:
            return True
        key = self._key(path)
        with answering("read", path, self.location):
            self._fs.invalidate_cache(self._fs._parent(key))
            after = unless_throttled(lambda: self._fs.info(key))
        return _version(after) == _version(before)

    def _entry(self, path: str, info: dict[str, Any]) -> TreeEntry:
        if self._api is not None:
            mtime_ns, version = self._api.describe(info)
        else:
            mtime_ns, version = describe(info)
        return TreeEntry(path, "file", int(info.get("size") or 0), mtime_ns, 0, version)

    def look_up(self, path: str) -> TreeEntry:
        """Return the current entry of an object.

        :raises MissingFileError: when it is not there
        """
        key = self._key(path)
        with answering("read", path, self.location):
            self._fs.invalidate_cache(self._fs._parent(key))
            return self._entry(path, unless_throttled(lambda: self._fs.info(key)))

    def _objects(
        self, path_filter: PathFilter, missing_ok: bool, on_unreadable: OnUnreadable | None
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the path of each selected object, and the store's information about it."""
        with answering("list", "", self.location):
            self._fs.invalidate_cache()
            try:
                found = self._fs.find(self._root, detail=True)
            except FileNotFoundError:
                found = {}
                if self._flat:
                    raise
            if not found and not self._flat and not self._fs.exists(self._root):
                if missing_ok:
                    return
                raise FileNotFoundError(errno.ENOENT, "No such directory")
        below = f"{self._root}/"
        for key, info in found.items():
            if key == self._root and not self._flat:
                raise FileError(f"{self.location} is a file. Give the path of a directory.")
            if not key.startswith(below) or info.get("type", "file") != "file":
                continue
            path = key[len(below) :]
            if path_filter.selects(path) and can_be_file(path, int(info.get("size") or 0), on_unreadable):
                yield path, info

    def read(self, path: str) -> FileReader:
        """Open an object for sending; see :meth:`~.storage.Storage.read`."""
        version = self.open_version(path)
        return FileReader(version.file, path, self.location, version.entry.size, version.is_unchanged)

    @contextmanager
    def upload(self, path: str, size: int, may_replace: MayReplace, mtime_ns: int | None = None) -> Iterator[StoreWriter]:
        """Upload an object, which appears, whole, only when the block ends without an exception.

        :param size: bytes that must be written by the end
        :param may_replace: see :data:`~.tree_writer.MayReplace`
        :param mtime_ns: time of modification for the metadata, if the store has metadata
        """
        key = self._key(path)
        if not self._flat:
            with self._plain_files().write(path, size, may_replace) as writer:
                yield writer
            return
        # Stores limit the number of parts, so large files need larger parts.
        part_bytes = max(READ_BYTES, (size // _PARTS // _MIB + 1) * _MIB)
        with answering("write", path, self.location):
            upload: Upload
            if self._api is not None:
                upload = self._api.begin_upload(path, part_bytes, mtime_ns)
            else:
                upload = FileUpload(self._fs.open(key, "wb", block_size=part_bytes))
        writer = StoreWriter(upload, path, self.location)
        try:
            yield writer
            writer.check(size)
            with answering("write", path, self.location):
                writer.made = upload.complete()
        except BaseException:
            try:
                upload.abort()
            except Exception as error:  # noqa: BLE001  # each store's library has its own; the first failure is what matters
                log.warning("An upload of %r to %s could not be given up: %s", path, self.location, error)
            raise

    def writer(
        self,
        *,
        durable: bool = True,
        may_replace: MayReplace,
        backup: Backup | None = None,
        on_failure: OnFailure | None = None,
    ) -> AbstractContextManager[TreeWriter]:
        """Write many objects at once; see :class:`~.objects.writer.ObjectTreeWriter`."""
        api: ObjectApi = self._api or CommonApi(self, may_replace)
        return ObjectTreeWriter(_Objects(self, may_replace), api, backup=backup, on_failure=on_failure)

    def check(self, path: str) -> None:
        """Refuse a path that is no name of an object here.

        :raises FileError: for such a path
        """
        self._key(path)

    def folder(self, path: str) -> ObjectStorage:
        """Return the storage of a prefix below this one."""
        return ObjectStorage(self._fs, self._key(path))

    def atomic_copy(self, *, durable: bool = True, digests: CachedRoot | None = None) -> AbstractContextManager[Self]:
        """Refuse.

        :raises ConfigurationError: always
        """
        raise ConfigurationError(
            f"atomic: {self.location} is object storage, where many objects cannot be replaced in one step. Leave `atomic` out."
        )

    def backup_inside(self, folder: str) -> str | None:
        """Return the path of a folder of backups: a prefix below the root."""
        return "/".join(check_name(folder.strip("/")))

    def is_one_name(self, path: str, other: str) -> bool:
        """Return ``False``: stores compare keys exactly."""
        return False

    def count_names(self, path: str) -> int:
        """Return 0: stores have no directories."""
        return 0

    def is_mount_point(self, path: str) -> bool:
        """Return ``False``: stores have no directories."""
        return False

    def delete(self, path: str) -> None:
        """Remove an object, and the directories above it that become empty. A missing object is no error."""
        key = self._key(path)
        if not self._flat:
            self._plain_files().delete(path)
            return
        with answering("delete", path, self.location):
            self._fs.rm_file(key)

    def _plain_files(self) -> PlainFiles:
        return PlainFiles(self._fs, self.location, self._root, self._key)

    def exclusive(self, timeout: float) -> AbstractContextManager[None]:
        """Do nothing: stores have no locks. Let one sync run at a time, as ``max_active_runs=1`` does."""
        return nullcontext()

    def clean(self, older_than: float, *, resumable_older_than: float = RESUMABLE_SECONDS) -> int:
        """Abort unfinished uploads to S3 under this root, but only those older than a day, because stores have no locks.

        Other stores abort them by themselves. If the store refuses, this is logged: unfinished uploads only cost money.
        """
        if not isinstance(self._api, S3Api):
            return 0
        limit = time.time() - max(older_than, MIN_UPLOAD_AGE)
        removed = 0
        try:
            with answering("give up unfinished uploads to", "", self.location):
                for path, upload_id, begun in self._api.unfinished_uploads():
                    if begun <= limit:
                        self._api.abort_upload(path, upload_id)
                        removed += 1
        except SyncError as error:
            log.warning("%s Otherwise let a rule of the bucket remove unfinished uploads.", error)
        return removed

    def _key(self, path: str) -> str:
        check_name(path)
        if "?versionId=" in path:
            # s3fs cuts the key there, so it would address another object.
            raise FileError(
                f"The file name {path!r} contains '?versionId=', which object stores read as a version. Rename or exclude it."
            )
        if "\\" in path and not self._flat:
            self._check_backslashes(path)
        return f"{self._root}/{path}"

    def _check_backslashes(self, path: str) -> None:
        """Refuse a name that is another path where backslashes separate, as behind ``smb://``, or on a server with Windows."""
        if self._backslash_separates:
            raise FileError(
                f"The file name {path!r} contains a backslash, which {self.location} reads as the separator of folders. Rename or"
                " exclude it."
            )
        check_name(path.replace("\\", "/"))

    def __repr__(self) -> str:
        return f"ObjectStorage({self.location!r})"


def api_of(filesystem: AbstractFileSystem, protocols: Collection[str], root: str) -> S3Api | GcsApi | None:
    """Return the calls of a store for which this package has a class.

    :param protocols: URL schemes of the store
    :param root: bucket and prefix
    """
    bucket, _, prefix = root.partition("/")
    prefix = f"{prefix}/" if prefix else ""
    if not {"s3", "s3a"}.isdisjoint(protocols) and hasattr(filesystem, "call_s3"):
        return S3Api(filesystem, bucket, prefix)
    if not {"gs", "gcs"}.isdisjoint(protocols) and hasattr(filesystem, "call"):
        return GcsApi(filesystem, bucket, prefix)
    return None


class _Objects:
    """The storage as a writer uses it; see :class:`~.objects.writer.Objects`."""

    def __init__(self, storage: ObjectStorage, may_replace: MayReplace) -> None:
        self.location = storage.location
        self._storage = storage
        self._may_replace = may_replace

    def check(self, path: str) -> None:
        """Refuse a path that is no name of an object."""
        self._storage.check(path)

    def entry(self, path: str) -> TreeEntry:
        """Ask the store what it says of an object now."""
        return self._storage.look_up(path)

    def upload(self, path: str, size: int, mtime_ns: int | None) -> AbstractContextManager[StoreWriter]:
        """Upload a large object."""
        return self._storage.upload(path, size, self._may_replace, mtime_ns)

    def paths(self, folder: str) -> Iterator[str]:
        """Yield the paths of all objects in a folder."""
        return (f"{folder}/{entry.path}" for entry in self._storage.folder(folder).scan(missing_ok=True))


def _version(info: dict[str, Any]) -> tuple[Any, ...]:
    return (info["size"], info.get("ETag") or info.get("etag"), modified_ns(info))
