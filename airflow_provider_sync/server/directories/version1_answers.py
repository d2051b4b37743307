"""The version 1 directory endpoints: the hashes of files, and the files themselves."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, cast

from starlette.responses import Response

from airflow_provider_sync.config import ServerConfig, SourceDirectory
from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.hashers import FileHasher, Md5Hasher, NoneHasher, load_hasher
from airflow_provider_sync.files.manifest import build_manifest
from airflow_provider_sync.files.paths import check_name
from airflow_provider_sync.files.patterns import PathFilter
from airflow_provider_sync.files.storage import FileReader, Storage
from airflow_provider_sync.protocol.v1.file_hashes import encode_hashes
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.protocol.v1.requests import UNREADABLE, file_hashes_request, files_request
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.directories.hidden_obstacles import hidden_obstacles
from airflow_provider_sync.server.directories.served_directory import LeftOutFiles
from airflow_provider_sync.server.directories.stoppable_file import StoppableFile
from airflow_provider_sync.server.http_errors import CannotServe
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import StreamResponse, attachment

_OPEN_FILES = 64
"""Number of files that stay open from the check until they are sent; the others are opened a second time."""


class Version1DirectoryAnswers:
    """Answer ``/getFileHashes`` and ``/getFiles``.

    :param stream_headers: headers of every streamed response
    """

    def __init__(self, config: ServerConfig, sources: Sources, *, stream_headers: Mapping[str, str]) -> None:
        self._config = config
        self._sources = sources
        self._stream_headers = stream_headers

    def hashes(self, fields: Mapping[str, Any], grant: Grant, active: ActiveRequest) -> Response:
        """Send the digests of all files.

        A missing root is an error: after an empty response, the client would delete everything.
        """
        name = file_hashes_request(fields, grant.directories)
        active.account.about_directory(name)
        directory = self._config.directories[name]
        hasher = load_hasher(directory.hasher or self._config.default_file_hasher)
        is_md5 = isinstance(hasher, Md5Hasher)
        hasher = hasher if isinstance(hasher, NoneHasher) else _StoppableHasher(hasher, active)
        left_out = LeftOutFiles(repr(name)) if fields.get(UNREADABLE[0]) == UNREADABLE[1] else None
        try:
            with self._storage(name) as storage:
                cached = self._cached_md5(directory) if is_md5 else None
                manifest = build_manifest(
                    storage,
                    hasher,
                    _selection(directory),
                    on_file=lambda *_: active.check(),
                    on_unreadable=None if left_out is None else left_out.add,
                    cached=cached,
                )
        except FileError as error:
            if error.retryable:
                raise
            raise CannotServe(str(error)) from error
        active.account.count(files=len(manifest))
        return StreamResponse(
            encode_hashes(manifest.items(), left_out),
            what=f"Manifest of directory {name!r}",
            active=active,
            headers=self._stream_headers,
            media_type="application/json",
        )

    def contents(self, fields: Mapping[str, Any], grant: Grant, active: ActiveRequest) -> Response:
        """Send files; all are opened before the first byte is sent, so that a missing one leads to an error response."""
        name, paths = files_request(fields, grant.directories)
        active.account.about_directory(name)
        active.account.count(files=len(paths))
        directory = self._config.directories[name]
        with ExitStack() as stack:
            with self._storage(name) as storage:
                readers = _open(storage, _selection(directory), paths, stack)
            return StreamResponse(
                _frames(storage, paths, readers),
                what=f"Files of directory {name!r}",
                active=active,
                close=stack.pop_all().close,
                headers={**self._stream_headers, "Content-Disposition": attachment(f"{name}.bin")},
            )

    def _cached_md5(self, directory: SourceDirectory) -> CachedRoot:
        return self._sources.cached(directory, self._sources.storage(directory).location, algorithm="md5")

    @contextmanager
    def _storage(self, name: str) -> Iterator[Storage]:
        """Yield the storage of a directory; its errors contain the directory's name, and its location only for the log."""
        storage = self._sources.storage(self._config.directories[name])
        try:
            yield storage.named(repr(name))
        except FileError as error:
            error.add_note(f"{name!r} is {storage.location}.")
            raise


class _StoppableHasher:
    """A hasher that stops in the middle of a file when the request has ended, since a file may have hundreds of gigabytes."""

    def __init__(self, hasher: FileHasher, active: ActiveRequest) -> None:
        self.name = hasher.name
        self._hasher = hasher
        self._active = active

    def hash(self, file: BinaryIO) -> str:
        return self._hasher.hash(cast("BinaryIO", StoppableFile(file, self._active)))


def _open(storage: Storage, path_filter: PathFilter, paths: Sequence[str], stack: ExitStack) -> deque[FileReader]:
    """Open every file, and keep the first :data:`_OPEN_FILES` open."""
    readers: deque[FileReader] = deque()
    for path in paths:
        # The syntax of the name has an error of its own. A file that is not offered is not opened: whether it exists would show.
        check_name(path)
        if not path_filter.selects(path):
            raise MissingFileError(f"Cannot read {path!r} in {storage.location}: it is excluded by the server's configuration.")
        with hidden_obstacles(path, path_filter, storage.location):
            reader = storage.read(path)
        if len(readers) < _OPEN_FILES:
            readers.append(stack.enter_context(reader))
        else:
            reader.__exit__(None, None, None)
    return readers


def _frames(storage: Storage, paths: Sequence[str], readers: deque[FileReader]) -> Iterator[bytes]:
    for path in paths:
        with readers.popleft() if readers else storage.read(path) as reader:
            yield frame_header(path, reader.size)
            yield from reader


def _selection(directory: SourceDirectory) -> PathFilter:
    return PathFilter(directory.include, directory.exclude)
