"""The answers about directories: the hashes of their files, and the files themselves."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, BinaryIO, cast

from starlette.responses import Response

from airflow_provider_sync.config import ServerConfig, SourceDirectory
from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.hashers import FileHasher, NoneHasher, load_hasher
from airflow_provider_sync.files.manifest import build_manifest
from airflow_provider_sync.files.selection import Selection
from airflow_provider_sync.files.storage import FileReader, Storage
from airflow_provider_sync.protocol.v1.frames import frame_header
from airflow_provider_sync.protocol.v1.manifests import encode_hashes
from airflow_provider_sync.protocol.v1.requests import UNREADABLE, file_hashes_request, files_request
from airflow_provider_sync.server.auth import Grant
from airflow_provider_sync.server.errors import CannotServe
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import StreamResponse, attachment
from airflow_provider_sync.server.work import Work

MAX_UNREADABLE = 1_000
"""Most files of one directory that are named because they cannot be read; with more, the directory is an error."""

_OPEN_FILES = 64
"""Files of one request that stay open from the check until they are sent; the rest is opened twice."""


class FileAnswers:
    """Answers ``/getFileHashes`` and ``/getFiles``.

    :param stream_headers: headers that every streamed answer carries
    """

    def __init__(self, config: ServerConfig, sources: Sources, *, stream_headers: Mapping[str, str]) -> None:
        self._config = config
        self._sources = sources
        self._stream_headers = stream_headers

    def hashes(self, fields: Mapping[str, Any], grant: Grant, work: Work) -> Response:
        """Answer the digests of all files.

        A root that is missing is an error: an empty answer would have everything deleted at the other side.
        """
        name = file_hashes_request(fields, grant.directories)
        directory = self._config.directories[name]
        storage = self._sources.storage(directory)
        hasher = load_hasher(directory.hasher or self._config.default_file_hasher)
        unreadable: dict[str, str] | None = {} if fields.get(UNREADABLE[0]) == UNREADABLE[1] else None
        on_unreadable = None if unreadable is None else partial(_take_down, unreadable, name, storage)
        try:
            with _by_name(name, storage):
                hasher = hasher if isinstance(hasher, NoneHasher) else _StoppableHasher(hasher, work)
                manifest = build_manifest(
                    storage, hasher, _selection(directory), on_file=lambda _: work.check(), on_unreadable=on_unreadable
                )
        except FileError as error:
            if error.retryable:
                raise
            raise CannotServe(str(error)) from error
        return StreamResponse(
            encode_hashes(manifest.items(), unreadable),
            what=f"Manifest of directory {name!r}",
            work=work,
            headers=self._stream_headers,
            media_type="application/json",
        )

    def contents(self, fields: Mapping[str, Any], grant: Grant, work: Work) -> Response:
        """Answer files, all of which are there and readable before the first byte is sent."""
        name, paths = files_request(fields, grant.directories)
        directory = self._config.directories[name]
        storage = self._sources.storage(directory)
        with ExitStack() as stack:
            with _by_name(name, storage):
                readers = _open(storage, _selection(directory), paths, stack)
            return StreamResponse(
                _frames(storage, paths, readers),
                what=f"Files of directory {name!r}",
                work=work,
                close=stack.pop_all().close,
                headers={**self._stream_headers, "Content-Disposition": attachment(f"{name}.bin")},
            )


class _StoppableHasher:
    """Stops in the middle of a file when nobody waits for its digest any more: it may have hundreds of gigabytes."""

    def __init__(self, hasher: FileHasher, work: Work) -> None:
        self.name = hasher.name
        self._hasher = hasher
        self._work = work

    def hash(self, file: BinaryIO) -> str:
        return self._hasher.hash(cast("BinaryIO", _StoppableFile(file, self._work)))


class _StoppableFile:
    """A file that is read as long as somebody waits."""

    def __init__(self, file: BinaryIO, work: Work) -> None:
        self._file = file
        self._work = work

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._file, name)
        if name not in ("read", "readinto"):
            return found

        def read(*arguments: Any) -> Any:
            self._work.check()
            return found(*arguments)

        return read


def _open(storage: Storage, selection: Selection, paths: Sequence[str], stack: ExitStack) -> deque[FileReader]:
    """Open every file, and leave the first ones open."""
    readers: deque[FileReader] = deque()
    for path in paths:
        reader = storage.read(path)
        # Only behind the check of the name, so that a bad one is called bad.
        if not selection.selects(path):
            reader.__exit__(None, None, None)
            raise MissingFileError(f"Cannot read {path!r} in {storage.location}: it is excluded by the server's configuration.")
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


def _selection(directory: SourceDirectory) -> Selection:
    return Selection(directory.include, directory.exclude)


def _take_down(unreadable: dict[str, str], name: str, storage: Storage, path: str, error: FileError) -> None:
    """Note what cannot be read.

    :raises FileError: where that is so much that it is no matter of single files
    """
    if len(unreadable) == MAX_UNREADABLE:
        raise FileError(f"More than {MAX_UNREADABLE} files in {storage.location} cannot be read, {path!r} among them: {error}")
    unreadable[path] = _told_by_name(name, storage, error)


@contextmanager
def _by_name(name: str, storage: Storage) -> Iterator[None]:
    """Call the directory by the name that the client knows; where it lies is not for the client."""
    try:
        yield
    except FileError as error:
        raise type(error)(_told_by_name(name, storage, error)) from error


def _told_by_name(name: str, storage: Storage, error: FileError) -> str:
    place = rf"(?<=\s){re.escape(storage.location)}(?=[\s:.,;])"
    return re.sub(place, lambda _: repr(name), str(error))
