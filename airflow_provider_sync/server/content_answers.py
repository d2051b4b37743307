"""The endpoints of version 2 that send what is in files: their content, and the chunks of large ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import BinaryIO, Literal, cast

from blake3 import blake3
from starlette.responses import Response

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError
from airflow_provider_sync.files.chunks import chunk_file
from airflow_provider_sync.files.file_errors import file_error, is_about_one_file
from airflow_provider_sync.files.storage import OpenVersion, VersionedFile
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.compression import CONTENT_COMPRESSIONS
from airflow_provider_sync.protocol.v2.content_check import wanted_bytes
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CHUNKS,
    MAX_CONTENT_BYTES,
    Chunked,
    ChunkFile,
    Chunks,
    Content,
    ContentEnd,
    ContentFailed,
    FileMessage,
    ReadFiles,
    RequestedFile,
)
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.auth import Grant
from airflow_provider_sync.server.block_compression import BlockCompression
from airflow_provider_sync.server.file_requests import decode_file_request
from airflow_provider_sync.server.file_streams import Groups, stream_files
from airflow_provider_sync.server.served_directory import ServedDirectories, ServedDirectory
from airflow_provider_sync.server.stoppable_file import StoppableFile
from airflow_provider_sync.server.version2_requests import invalid_field

GROUP_BYTES = 1024 * 1024
"""Bytes of content that are sent at once: small files one by one would cost a change of threads each."""

RECORDED = 2_000
"""Files that were sent whose digests go into the cache at once."""

_GROUP_MESSAGES = 1_000


class ContentAnswers:
    """Answers ``/readFiles`` and ``/chunkFile``. No state is kept between answers."""

    def __init__(self, directories: ServedDirectories) -> None:
        self._directories = directories

    def read(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Answer the content of files; one that cannot be sent has a message in its place."""
        request = decode_file_request(body, ReadFiles, grant.directories)
        return stream_files(
            _Contents(self._directories.open(request), active).groups(request.files),
            accept,
            active,
            what=f"Files of directory {request.directory!r}",
            idle=Content(number=0),
            compressions=CONTENT_COMPRESSIONS,
        )

    def chunk(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Answer the chunks of one file, which is read."""
        request = decode_file_request(body, ChunkFile, grant.directories)
        return stream_files(
            _chunks(self._directories.open(request), request.path, active),
            accept,
            active,
            what=f"Chunks of a file of directory {request.directory!r}",
            idle=Chunks(lengths=(), digests=b""),
        )


class _Contents:
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
        for number, requested in enumerate(files):
            self._active.check()
            if requested.ranges is None and requested.size <= MAX_CONTENT_BYTES:
                yield self._whole(number, requested, open_version)
            else:
                yield from self._pieces(number, requested, open_version)

    def _whole(self, number: int, requested: RequestedFile, open_version: OpenVersion) -> FileMessage:
        """Return a small file as one message."""
        try:
            with open_version(requested.path) as opened:
                if not _is_requested(opened, requested):
                    return self._changed(number, requested)
                data = opened.file.read(requested.size)
                if len(data) != requested.size or not opened.is_unchanged():
                    return self._changed(number, requested)
        except (FileError, OSError) as error:
            return self._failed(number, requested, error)
        digest = blake3(data).digest()
        self._read.append(opened.entry.with_digest(digest))
        end = ContentEnd(digest, opened.entry.mode)
        if self._compression.is_worthwhile(requested.path, data) and (frame := self._compression.compressed(data)):
            return Content(number=number, inflated=len(data), end=end, data=frame)
        return Content(number=number, end=end, data=data)

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
                    yield Content(
                        number=number, inflated=len(block) if frame else 0, end=end, data=frame if frame is not None else block
                    )
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


def _chunks(directory: ServedDirectory, path: str, active: ActiveRequest) -> Groups:
    location = directory.storage.location
    try:
        with directory.noting_location(), directory.opener() as open_version, open_version(path) as opened:
            entry = opened.entry
            chunks = directory.cached.chunks(entry)
            if chunks is None:
                chunks = chunk_file(cast("BinaryIO", StoppableFile(opened.file, active)), entry.size)
                if not opened.is_unchanged():
                    raise FileChangedError(
                        f"{path!r} in {location} changed while it was read. Try again when nobody writes to it."
                    )
                directory.cached.record_chunks(entry, chunks)
                directory.cached.record([entry.with_digest(chunks.digest)])
    except MissingFileError as error:
        raise invalid_field("path", str(error)) from error
    except OSError as error:
        raise file_error("read", path, location, error) from error
    for lengths, digests in chunks.pieces(MAX_CHUNKS):
        yield (Chunks(lengths=tuple(lengths), digests=digests),)
    yield (Chunked(size=entry.size, mtime_ns=entry.mtime_ns, digest=chunks.digest),)


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
