"""The version 2 endpoints that send the content of files, and the chunk lists of large files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, cast

from starlette.responses import Response

from airflow_provider_sync.exceptions import FileChangedError, MissingFileError
from airflow_provider_sync.files.chunks import ChunkListBuilder, ChunkPiece, FileChunks
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.protocol.v2.compression import CONTENT_COMPRESSIONS
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_CHUNKS,
    Chunked,
    ChunkFile,
    Chunks,
    ReadFiles,
)
from airflow_provider_sync.protocol.v2.framing import Buffers
from airflow_provider_sync.protocol.v2.keep_alives import NO_CHUNKS, NO_CONTENT
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.directories.content_messages import BUFFER_BYTES, ContentMessages
from airflow_provider_sync.server.directories.file_requests import decode_file_request
from airflow_provider_sync.server.directories.file_streams import Groups, stream_files
from airflow_provider_sync.server.directories.served_directory import ServedDirectories, ServedDirectory
from airflow_provider_sync.server.directories.stoppable_file import StoppableFile
from airflow_provider_sync.server.http_errors import UnstableFile
from airflow_provider_sync.server.json_requests import invalid_field

_MESSAGE_CHUNKS = 256
"""Number of chunks in a message, about 16 MB of a file: the client compares them while the next ones are computed."""


class ContentAnswers:
    """Answers ``/readFiles`` and ``/chunkFile``. No state is kept between requests."""

    def __init__(self, directories: ServedDirectories) -> None:
        self._directories = directories
        self._buffers = Buffers(BUFFER_BYTES)

    def read(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the content of files; in place of a file that cannot be sent, send a failure message."""
        request = decode_file_request(body, ReadFiles, grant.directories)
        return stream_files(
            ContentMessages(self._directories.open(request), active, self._buffers).groups(request.files),
            accept,
            active,
            directory=request.directory,
            what=f"Files of directory {request.directory!r}",
            idle=NO_CONTENT,
            compressions=CONTENT_COMPRESSIONS,
        )

    def chunk(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the chunk list of one file, while reading it."""
        request = decode_file_request(body, ChunkFile, grant.directories)
        return stream_files(
            _chunks(self._directories.open(request), request.path, active),
            accept,
            active,
            directory=request.directory,
            what=f"Chunks of a file of directory {request.directory!r}",
            idle=NO_CHUNKS,
        )


def _chunks(directory: ServedDirectory, path: str, active: ActiveRequest) -> Groups:
    """Yield the messages of the response while the file is read."""
    location = directory.storage.location
    try:
        with directory.noting_location(), directory.opener() as open_version, open_version(path) as opened:
            entry = opened.entry
            chunks = directory.cached.chunks(entry)
            if chunks is not None:
                yield from map(_message, chunks.pieces(MAX_CHUNKS))
            else:
                known = directory.cached.look_up((entry.path,))(entry)
                cutting = FileChunks(cast("BinaryIO", StoppableFile(opened.file, active)), entry.size, digest=known)
                last: ChunkPiece | None = None
                for piece in _gathered(cutting):
                    if last is not None:
                        yield _message(last)
                    last = piece
                # Of a file that is not large, an error is then an answer of its own.
                if not opened.is_unchanged():
                    raise UnstableFile(f"{path!r} in {location} changed while it was read. Ask for it again.")
                chunks = cutting.finish()
                directory.cached.record_chunks(entry, chunks)
                directory.cached.record([entry.with_digest(chunks.digest)])
                if last is not None:
                    yield _message(last)
    except MissingFileError as error:
        raise invalid_field("path", str(error)) from error
    except FileChangedError as error:
        raise UnstableFile(str(error)) from error
    except OSError as error:
        raise file_error("read", path, location, error) from error
    yield (Chunked(size=entry.size, mtime_ns=entry.mtime_ns, digest=chunks.digest),)


def _message(piece: ChunkPiece) -> Sequence[Chunks]:
    lengths, digests = piece
    return (Chunks(lengths=tuple(lengths), digests=digests),)


def _gathered(pieces: Iterable[ChunkPiece]) -> Iterator[ChunkPiece]:
    """Join pieces, since each message costs a change of threads."""
    waiting = ChunkListBuilder()
    for lengths, digests in pieces:
        waiting.add(lengths, digests)
        if len(waiting) >= _MESSAGE_CHUNKS:
            yield waiting.take()
    if len(waiting):
        yield waiting.take()
