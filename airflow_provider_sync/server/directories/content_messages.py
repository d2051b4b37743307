"""Write the content of files as messages: small files whole, large files in blocks, and a failure message for each that fails."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, NamedTuple

from blake3 import blake3

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.file_errors import file_error, is_about_one_file
from airflow_provider_sync.files.storage import OpenVersion, VersionedFile
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.content_check import wanted_bytes
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CONTENT_BYTES,
    ContentFailed,
    RequestedFile,
)
from airflow_provider_sync.protocol.v2.framing import Buffers, FramedContent
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.directories.block_compression import BlockCompression
from airflow_provider_sync.server.directories.file_streams import Groups
from airflow_provider_sync.server.directories.served_directory import ServedDirectory

GROUP_BYTES = 1024 * 1024
"""Bytes of content that are sent together, since sending each small file by itself would cost a change of threads."""

RECORDED = 2_000
"""Number of sent files whose digests are written to the cache together."""

_GROUP_MESSAGES = 1_000
BUFFER_BYTES = max(GROUP_BYTES, MAX_CONTENT_BYTES) + 256 * _GROUP_MESSAGES
"""Size, in bytes, of a group including the headers of its messages, and a failure message after the last."""

_AHEAD_BYTES = 16 * 1024 * 1024
"""Maximum size, in bytes, of small files that are read ahead from remote storage."""


class _Loaded(NamedTuple):
    """A small file: its content, and its entry."""

    data: memoryview
    entry: TreeEntry


class ContentMessages:
    """The content of some files, as messages.

    :param active: the current request
    :param buffers: buffers of :data:`BUFFER_BYTES` each
    """

    def __init__(self, directory: ServedDirectory, active: ActiveRequest, buffers: Buffers) -> None:
        self._directory = directory
        self._active = active
        self._compression = BlockCompression()
        self._location = directory.storage.location
        self._read: list[TreeEntry] = []
        self._buffers = buffers
        self._framed = FramedContent(buffers)

    def groups(self, files: Sequence[RequestedFile]) -> Groups:
        """Yield the messages, up to :data:`GROUP_BYTES` of content at once."""
        try:
            with self._directory.noting_location(), self._directory.opener() as open_version:
                for size in self._each(files, open_version):
                    if not self._has_room(size):
                        yield self._take()
                    if len(self._read) >= RECORDED:
                        self._record()
            if self._framed.messages:
                yield self._take()
        finally:
            self._record()

    def _take(self) -> Sequence[FramedContent]:
        """Return the framed messages; continue in another buffer, since this one is being sent."""
        taken = self._framed
        self._framed = FramedContent(self._buffers)
        return (taken,)

    def _has_room(self, size: int) -> bool:
        framed = self._framed
        return not framed.messages or (len(framed) + size <= GROUP_BYTES and framed.messages < _GROUP_MESSAGES)

    def _record(self) -> None:
        self._directory.cached.record(self._read)
        self._read.clear()

    def _each(self, files: Sequence[RequestedFile], open_version: OpenVersion) -> Iterator[int]:
        """Frame the files; before each message, yield the number of its content bytes."""
        if self._directory.storage.is_remote:
            yield from self._read_ahead(files, open_version)
            return
        for number, requested in enumerate(files):
            self._active.check()
            if _is_small(requested):
                yield requested.size
                self._whole(number, requested, open_version)
            else:
                yield from self._pieces(number, requested, open_version)

    def _read_ahead(self, files: Sequence[RequestedFile], open_version: OpenVersion) -> Iterator[int]:
        """Frame files of remote storage, reading several small ones in parallel, so that round trips overlap."""
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
                        yield file.size
                        self._copy(first, file, loading.result())
                    if not _is_small(requested):
                        yield from self._pieces(number, requested, open_version)
                for first, file, loading in waiting:
                    yield file.size
                    self._copy(first, file, loading.result())
            finally:
                for _, _, loading in waiting:
                    loading.cancel()

    def _load_alone(self, number: int, requested: RequestedFile) -> _Loaded | ContentFailed:
        self._active.check()
        with self._directory.opener() as open_version:
            return self._load(number, requested, open_version)

    def _load(self, number: int, requested: RequestedFile, open_version: OpenVersion) -> _Loaded | ContentFailed:
        """Read a small file ahead of its turn."""
        data = memoryview(bytearray(requested.size))
        try:
            with open_version(requested.path) as opened:
                if not _is_requested(opened, requested) or not _filled(data, opened):
                    return self._changed(number, requested)
        except (FileError, OSError) as error:
            return self._reason(number, requested, error)
        return _Loaded(data, opened.entry)

    def _copy(self, number: int, requested: RequestedFile, loaded: _Loaded | ContentFailed) -> None:
        """Frame a small file that was read ahead."""
        if isinstance(loaded, ContentFailed):
            self._framed.add_failed(loaded)
            return
        place = self._framed.place(number, requested.size, mode=loaded.entry.mode)
        place[:] = loaded.data
        self._end(number, requested, place, loaded.entry)

    def _whole(self, number: int, requested: RequestedFile, open_version: OpenVersion) -> None:
        """Read a small file directly into the buffer."""
        try:
            with open_version(requested.path) as opened:
                if not _is_requested(opened, requested):
                    self._framed.add_failed(self._changed(number, requested))
                    return
                place = self._framed.place(number, requested.size, mode=opened.entry.mode)
                if not _filled(place, opened):
                    self._framed.add_failed(self._changed(number, requested))
                    return
        except (FileError, OSError) as error:
            self._framed.add_failed(self._reason(number, requested, error))
        else:
            self._end(number, requested, place, opened.entry)

    def _end(self, number: int, requested: RequestedFile, place: memoryview, entry: TreeEntry) -> None:
        """Complete a small file whose content is in the buffer."""
        digest = blake3(place).digest()
        self._read.append(entry.with_digest(digest))
        compresses = self._compression.is_worthwhile(requested.path, place)
        self._add(number, place, digest, mode=entry.mode, compresses=compresses)

    def _pieces(self, number: int, requested: RequestedFile, open_version: OpenVersion) -> Iterator[int]:
        """Frame a large file, or ranges of a file, in blocks; before each block, yield the number of its bytes."""
        running = blake3()
        compresses: bool | None = None
        left = wanted_bytes(requested)
        at = 0
        try:
            with open_version(requested.path) as opened:
                is_right = _is_requested(opened, requested)
                for offset, size in _blocks(requested) if is_right else ():
                    self._active.check()
                    yield size
                    left -= size
                    mode = None if left else opened.entry.mode
                    place = self._framed.place(number, size, mode=mode)
                    if offset != at:
                        opened.file.seek(offset)
                    at = offset + size
                    if not _filled(place, opened, is_last=not left):
                        is_right = False
                        break
                    running.update(place)
                    if compresses is None:
                        compresses = self._compression.is_worthwhile(requested.path, place)
                    digest = None if left else running.digest()
                    if digest is not None and requested.ranges is None:
                        self._read.append(opened.entry.with_digest(digest))
                    self._add(number, place, digest, mode=mode, compresses=compresses)
                if not is_right:
                    self._framed.add_failed(self._changed(number, requested))
        except (FileError, OSError) as error:
            self._framed.add_failed(self._reason(number, requested, error))

    def _add(self, number: int, place: memoryview, digest: bytes | None, *, mode: int | None, compresses: bool) -> None:
        """Add a message for content in the buffer, compressed if that makes it smaller."""
        frame = self._compression.compressed(place) if compresses else None
        if frame is not None:
            inflated = len(place)
            place = self._framed.place(number, len(frame), inflated=inflated, mode=mode)
            place[:] = frame
        self._framed.add(place, digest)

    def _changed(self, number: int, requested: RequestedFile) -> ContentFailed:
        message = f"{requested.path!r} in {self._location} changed since it was listed, or while it was read. Compare again."
        return ContentFailed(number=number, reason="changed", message=message)

    def _reason(self, number: int, requested: RequestedFile, error: FileError | OSError) -> ContentFailed:
        """Return the failure message for a file.

        :raises FileError: for an error that concerns other files, too
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


def _blocks(requested: RequestedFile) -> Iterator[tuple[int, int]]:
    """Yield offset and size of each block of the requested ranges, or of the whole file."""
    for offset, length in requested.ranges or ((0, requested.size),):
        for start in range(offset, offset + length, MAX_CONTENT_BYTES):
            yield start, min(MAX_CONTENT_BYTES, offset + length - start)


def _is_small(requested: RequestedFile) -> bool:
    return requested.ranges is None and requested.size <= MAX_CONTENT_BYTES


def _filled(place: memoryview, opened: VersionedFile, *, is_last: bool = True) -> bool:
    """Fill a buffer with the next bytes of a file; return whether there were enough.

    :param is_last: whether this is the last read of the file, after which the file must be unchanged since it was opened
    """
    read: Callable[[memoryview], int] = opened.file.readinto  # type: ignore[attr-defined]  # unbuffered files have it
    filled = read(place)
    while 0 < filled < len(place) and (more := read(place[filled:])):  # one read may give less
        filled += more
    return filled == len(place) and (not is_last or opened.is_unchanged())
