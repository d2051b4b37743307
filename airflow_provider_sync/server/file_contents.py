"""The content of files as messages: small ones whole, large ones in blocks, and a message in the place of one that fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, Literal, NamedTuple

from blake3 import blake3

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.file_errors import file_error, is_about_one_file
from airflow_provider_sync.files.storage import OpenVersion, VersionedFile
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.content_check import wanted_bytes
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CONTENT_BYTES,
    Content,
    ContentEnd,
    ContentFailed,
    FileMessage,
    RequestedFile,
)
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.block_compression import BlockCompression
from airflow_provider_sync.server.file_streams import Groups
from airflow_provider_sync.server.served_directory import ServedDirectory

GROUP_BYTES = 1024 * 1024
"""Bytes of content that are sent at once: small files one by one would cost a change of threads each."""

RECORDED = 2_000
"""Files that were sent whose digests go into the cache at once."""

_GROUP_MESSAGES = 1_000
_AHEAD_BYTES = 16 * 1024 * 1024
"""Bytes of small files of another machine that are read before it is their turn."""


class _Loaded(NamedTuple):
    """A small file: its content, and its entry with the digest."""

    data: bytes
    entry: TreeEntry


class FileContents:
    """The content of some files, as messages.

    :param active: the request that is answered
    """

    def __init__(self, directory: ServedDirectory, active: ActiveRequest) -> None:
        self._directory = directory
        self._active = active
        self._compression = BlockCompression()
        self._location = directory.storage.location
        self._read: list[TreeEntry] = []

    def groups(self, files: Sequence[RequestedFile]) -> Groups:
        """Yield the messages, about :data:`GROUP_BYTES` at once."""
        group: list[FileMessage] = []
        size = 0
        try:
            with self._directory.noting_location(), self._directory.opener() as open_version:
                for message in self._messages(files, open_version):
                    group.append(message)
                    size += len(message.data) if isinstance(message, Content) else 0
                    if size >= GROUP_BYTES or len(group) >= _GROUP_MESSAGES:
                        yield group
                        group, size = [], 0
                        if len(self._read) >= RECORDED:
                            self._record()
            if group:
                yield group
        finally:
            self._record()

    def _record(self) -> None:
        self._directory.cached.record(self._read)
        self._read.clear()

    def _messages(self, files: Sequence[RequestedFile], open_version: OpenVersion) -> Iterator[FileMessage]:
        if self._directory.storage.is_remote:
            yield from self._read_ahead(files, open_version)
            return
        for number, requested in enumerate(files):
            self._active.check()
            if _is_small(requested):
                yield self._whole(number, requested, self._load(number, requested, open_version))
            else:
                yield from self._pieces(number, requested, open_version)

    def _read_ahead(self, files: Sequence[RequestedFile], open_version: OpenVersion) -> Iterator[FileMessage]:
        """Yield the messages of files on another machine: several small ones are read at once, so that round trips overlap."""
        workers = self._directory.storage.concurrency
        waiting: deque[tuple[int, RequestedFile, Future[_Loaded | ContentFailed]]] = deque()
        size = 0
        with ThreadPoolExecutor(workers, thread_name_prefix="sync-read") as pool:
            try:
                for number, requested in enumerate(files):
                    self._active.check()
                    if _is_small(requested):
                        waiting.append((number, requested, pool.submit(self._load_alone, number, requested)))
                        size += requested.size
                    while waiting and (len(waiting) > 2 * workers or size > _AHEAD_BYTES or not _is_small(requested)):
                        first, file, loading = waiting.popleft()
                        size -= file.size
                        yield self._whole(first, file, loading.result())
                    if not _is_small(requested):
                        yield from self._pieces(number, requested, open_version)
                for first, file, loading in waiting:
                    yield self._whole(first, file, loading.result())
            finally:
                for _, _, loading in waiting:
                    loading.cancel()

    def _load_alone(self, number: int, requested: RequestedFile) -> _Loaded | ContentFailed:
        self._active.check()
        with self._directory.opener() as open_version:
            return self._load(number, requested, open_version)

    def _load(self, number: int, requested: RequestedFile, open_version: OpenVersion) -> _Loaded | ContentFailed:
        """Read a small file."""
        try:
            with open_version(requested.path) as opened:
                if not _is_requested(opened, requested):
                    return self._changed(number, requested)
                data = _read(opened.file, requested.size)
                if len(data) != requested.size or not opened.is_unchanged():
                    return self._changed(number, requested)
        except (FileError, OSError) as error:
            return self._failed(number, requested, error)
        return _Loaded(data, opened.entry.with_digest(blake3(data).digest()))

    def _whole(self, number: int, requested: RequestedFile, loaded: _Loaded | ContentFailed) -> FileMessage:
        """Return a small file as one message."""
        if isinstance(loaded, ContentFailed):
            return loaded
        data, entry = loaded
        self._read.append(entry)
        end = ContentEnd(entry.digest or b"", entry.mode)
        if self._compression.is_worthwhile(requested.path, data) and (frame := self._compression.compressed(data)):
            return Content(number=number, inflated=len(data), end=end, data=memoryview(frame))
        return Content(number=number, end=end, data=memoryview(data))

    def _pieces(self, number: int, requested: RequestedFile, open_version: OpenVersion) -> Iterator[FileMessage]:
        """Yield a large file, or ranges of a file, in blocks."""
        digest = blake3()
        compresses: bool | None = None
        try:
            with open_version(requested.path) as opened:
                if not _is_requested(opened, requested):
                    yield self._changed(number, requested)
                    return
                left = wanted_bytes(requested)
                for block in _blocks(opened, requested):
                    self._active.check()
                    left -= len(block)
                    if not block or (not left and not opened.is_unchanged()):
                        yield self._changed(number, requested)
                        return
                    digest.update(block)
                    if compresses is None:
                        compresses = self._compression.is_worthwhile(requested.path, block)
                    frame = self._compression.compressed(block) if compresses else None
                    end = None if left else ContentEnd(digest.digest(), opened.entry.mode)
                    if end is not None and requested.ranges is None:
                        self._read.append(opened.entry.with_digest(end.digest))
                    data = memoryview(block if frame is None else frame)
                    yield Content(number=number, inflated=len(block) if frame else 0, end=end, data=data)
        except (FileError, OSError) as error:
            yield self._failed(number, requested, error)

    def _changed(self, number: int, requested: RequestedFile) -> ContentFailed:
        message = f"{requested.path!r} in {self._location} changed since it was listed, or while it was read. Compare again."
        return ContentFailed(number=number, reason="changed", message=message)

    def _failed(self, number: int, requested: RequestedFile, error: FileError | OSError) -> ContentFailed:
        """Return the message in the place of a file.

        :raises FileError: for an error that does not concern this file alone
        """
        if isinstance(error, OSError):
            cause, error = error, file_error("read", requested.path, self._location, error)
            error.__cause__ = cause
        if not is_about_one_file(error.__cause__):
            raise error
        reason: Literal["gone", "unreadable"] = "gone" if isinstance(error, MissingFileError) else "unreadable"
        return ContentFailed(number=number, reason=reason, message=str(error))


def _is_requested(opened: VersionedFile, requested: RequestedFile) -> bool:
    return opened.entry.size == requested.size and opened.entry.mtime_ns == requested.mtime_ns


def _blocks(opened: VersionedFile, requested: RequestedFile) -> Iterator[bytes]:
    """Yield the wanted bytes; an empty block where the file ends too early."""
    for offset, left in requested.ranges or ((0, requested.size),):
        if offset:
            opened.file.seek(offset)
        while left:
            block = opened.file.read(min(left, MAX_CONTENT_BYTES))
            left -= len(block)
            yield block
            if not block:
                return


def _is_small(requested: RequestedFile) -> bool:
    return requested.ranges is None and requested.size <= MAX_CONTENT_BYTES


def _read(file: BinaryIO, size: int) -> bytes:
    """Return the next bytes of a file, fewer only at its end: one read may give less."""
    data = file.read(size)
    while 0 < len(data) < size and (more := file.read(size - len(data))):
        data += more
    return data
