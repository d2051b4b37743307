"""Answers of version 2 about directories: streams of messages, each checked before it is handed on."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import chain

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.message_stream import MessageStream, unexpected
from airflow_provider_sync.config import SizeLimits
from airflow_provider_sync.exceptions import ProtocolError
from airflow_provider_sync.files.chunks import MIN_CHUNK_BYTES, ChunkList, ChunkListBuilder, ChunkPiece
from airflow_provider_sync.printable import quoted
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v2.compression import COMPRESSIONS, CONTENT_COMPRESSIONS
from airflow_provider_sync.protocol.v2.content_check import ContentCheck, is_keep_alive, wanted_bytes
from airflow_provider_sync.protocol.v2.file_checks import MAX_PATH_BYTES, ChunksCheck, EntryCheck, check_file_digest
from airflow_provider_sync.protocol.v2.file_messages import (
    Chunked,
    ChunkFile,
    Chunks,
    Content,
    ContentFailed,
    DigestFiles,
    Entries,
    FileDigest,
    FileDigests,
    FileEntry,
    FileMessage,
    Listed,
    ListFiles,
    ReadFiles,
    Unchanged,
    UnreadableFiles,
)
from airflow_provider_sync.protocol.v2.keep_alives import NO_ENTRIES
from airflow_provider_sync.protocol.v2.stream import read_file_messages

MAX_UNREADABLE = 4_096
"""Most unreadable files in one listing; servers stop listing before."""

_MAX_UNREADABLE_PATH = 4 * MAX_PATH_BYTES
"""Most characters of the path of an unreadable file: a name that is not UTF-8 comes with its bytes as ``\\xff``."""

_MAX_REASON = 1_000
"""Most characters of a reason that is shown."""

_MIN_STREAM_BYTES = 16 * 1024 * 1024
_BYTES_PER_FILE = 512
"""Bytes allowed for each entry or digest when a stream may exceed :data:`_MIN_STREAM_BYTES`."""

_BYTES_PER_CHUNK = 64

_PIECE_BYTES = 2 * 1024 * 1024
"""Bytes of an answer that are read at once: more than a server sends at once, so that messages arrive in one piece."""


class _FileStream(MessageStream):
    """The open answer to a request about a directory.

    :param directory: its name, for messages
    :param limit: largest answer, in bytes
    :param option: name of the option that sets the limit
    """

    def __init__(
        self, body: Body, directory: str, *, limit: int, option: str | None, compressions: Sequence[str] = COMPRESSIONS
    ) -> None:
        super().__init__(body, f"Directory {directory!r}", compressions=compressions)
        chunks = body.chunks(limit=limit, option=option, size=_PIECE_BYTES)
        self._messages = read_file_messages(chunks, self.compression, limit=limit, option=option)


class ListingAnswer(_FileStream):
    """The answer to ``listFiles``, to be read once.

    :ivar unchanged: whether the directory is in the state that the request named; there are no entries then
    :ivar state: names what was listed, once all entries were read; ``None`` where a later change might not show
    :ivar links_skipped: number of links that were left out, once all entries were read
    :ivar unreadable: what the server could not list, and why, once all entries were read; directories have ``/`` at their end
    """

    def __init__(self, body: Body, request: ListFiles, *, limits: SizeLimits) -> None:
        limit = max(_MIN_STREAM_BYTES, limits.max_files * _BYTES_PER_FILE)
        super().__init__(body, request.directory, limit=limit, option="limits.max_files")
        self._max_files = limits.max_files
        self._check = EntryCheck(links=request.links == "keep")
        self.state: str | None = None
        self.links_skipped = 0
        self.unreadable: dict[str, str] = {}
        with self._with_subject():
            # While a server compares the state, it sends keep-alives first.
            first = next((message for message in self._messages if message != NO_ENTRIES), None)
            self.unchanged = isinstance(first, Unchanged)
            if self.unchanged:
                if request.state is None:
                    raise ProtocolError("The server says that nothing changed, but no state was named. Is it the same version?")
                if (message := next(self._messages, None)) is not None:
                    raise unexpected(message, "the end of the answer")
                self.state = request.state
        self._rest: Iterator[FileMessage] = iter(()) if first is None or self.unchanged else chain((first,), self._messages)
        self._is_complete = self.unchanged

    def __iter__(self) -> Iterator[tuple[FileEntry, ...]]:
        """Yield entries, many at once, in the order of paths. They are complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for entries that no listing has
        :raises GuardError: for more files than the limits allow
        """
        with self._with_subject():
            files = directories = 0
            for message in self._rest:
                if self._is_complete:
                    raise unexpected(message, "the end of the answer")
                match message:
                    case Entries():
                        self._check.check(message.entries)
                        found = sum([entry.kind == "directory" for entry in message.entries])
                        directories += found
                        files += len(message.entries) - found
                        if max(files, directories + self._check.unlisted_directories) > self._max_files:
                            raise too_large(self._max_files, "limits.max_files", what="The directory", unit="files")
                        if message.entries:
                            self._body.progress()
                            yield message.entries
                    case UnreadableFiles():
                        self._add_unreadable(message)
                    case Listed():
                        self._end(message)
                    case _:
                        raise unexpected(message, "a listing")
            if not self._is_complete:
                raise unexpected(None, "a listing")

    def _add_unreadable(self, message: UnreadableFiles) -> None:
        if len(self.unreadable) + len(message.reasons) > MAX_UNREADABLE:
            raise ProtocolError(f"The server names more than {MAX_UNREADABLE} files that it cannot read. Check its log.")
        for path in message.reasons:
            if len(path) > _MAX_UNREADABLE_PATH:
                raise ProtocolError(f"The server cannot read a file {quoted(path)!r}, and no path is that long. Check its log.")
        self.unreadable.update({path: quoted(reason, _MAX_REASON) for path, reason in message.reasons.items()})

    def _end(self, message: Listed) -> None:
        if message.links_skipped < 0:
            raise ProtocolError(f"The server skipped {message.links_skipped} links. Does it run the same version?")
        self.state = message.state
        self.links_skipped = message.links_skipped
        self._is_complete = True


class FileDigestsAnswer(_FileStream):
    """The answer to ``digestFiles``, to be read once."""

    def __init__(self, body: Body, request: DigestFiles, *, limits: SizeLimits) -> None:
        limit = max(_MIN_STREAM_BYTES, len(request.paths) * _BYTES_PER_FILE)
        super().__init__(body, request.directory, limit=limit, option=None)
        self._paths = request.paths

    def __iter__(self) -> Iterator[tuple[str, FileDigest]]:
        """Yield path and digest of each file, in the order of the request; nothing at all if the server does not digest.

        They are complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for other messages, impossible digests, and more or fewer than were asked for
        """
        with self._with_subject():
            received = 0
            for message in self._messages:
                if not isinstance(message, FileDigests):
                    raise unexpected(message, "digests of files")
                if received + len(message.digests) > len(self._paths):
                    raise ProtocolError(f"The server sent more than the {len(self._paths)} digests that were asked for.")
                if message.digests:
                    self._body.progress()
                for digest in message.digests:
                    path = self._paths[received]
                    check_file_digest(path, digest)
                    received += 1
                    yield path, digest
            if received not in (0, len(self._paths)):
                raise ProtocolError(
                    f"The server sent {received} of {len(self._paths)} digests, and not {self._paths[received]!r}."
                )


class ContentAnswer(_FileStream):
    """The answer to ``readFiles``, to be read once."""

    def __init__(self, body: Body, request: ReadFiles) -> None:
        wanted = sum(map(wanted_bytes, request.files))
        # The requested bytes are the most that can come; the rest is for the messages around them.
        limit = wanted + wanted // 64 + _MIN_STREAM_BYTES + len(request.files) * _BYTES_PER_FILE
        super().__init__(body, request.directory, limit=limit, option=None, compressions=CONTENT_COMPRESSIONS)
        self._check = ContentCheck(request.files)

    def __iter__(self) -> Iterator[Content | ContentFailed]:
        """Yield pieces of content, inflated, and files that could not be sent, in the order of the request.

        For each file, all requested bytes come, the last piece with its ``end``, or else its failure. The digest of a file is
        checked before its last piece is yielded; earlier pieces must not be used until then.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for other messages, content that was not asked for, and damaged content
        """
        with self._with_subject():
            for message in self._messages:
                if isinstance(message, Content):
                    if is_keep_alive(message):
                        continue
                    data = self._check.receive(message)
                    if message.inflated:
                        message = Content(number=message.number, end=message.end, data=memoryview(data))
                elif isinstance(message, ContentFailed):
                    self._check.fail(message)
                else:
                    raise unexpected(message, "content of files")
                self._body.progress()
                yield message
            self._check.finish()


class ChunksAnswer(_FileStream):
    """The answer to ``chunkFile``, to be read once.

    :param size: bytes of the file, as listed
    """

    def __init__(self, body: Body, request: ChunkFile, *, size: int) -> None:
        # The file may have grown since it was listed.
        self._max_chunks = 2 * size // MIN_CHUNK_BYTES + 3
        super().__init__(body, request.directory, limit=_MIN_STREAM_BYTES + self._max_chunks * _BYTES_PER_CHUNK, option=None)
        self._path = request.path
        self._chunks = ChunkListBuilder()
        self._end: Chunked | None = None

    def __iter__(self) -> Iterator[ChunkPiece]:
        """Yield some chunks at once, from the start of the file; pieces without chunks show that the server is at work.

        They are complete only if the iteration ends without an error.

        :raises IncompleteStreamError: when the stream is cut, or the server stops sending
        :raises ProtocolError: for other messages, chunks that do not make up the file, and more than a file of this size has
        """
        check = ChunksCheck(self._path)
        with self._with_subject():
            for message in self._messages:
                if self._end is not None:
                    raise unexpected(message, "the end of the answer")
                if isinstance(message, Chunks):
                    check.check(message)
                    if check.count > self._max_chunks:
                        raise ProtocolError(f"The server sent more than {self._max_chunks} chunks of {self._path!r}. Try again.")
                    if message.lengths:
                        self._body.progress()
                        self._chunks.add(message.lengths, message.digests)
                    # For many chunks, an array takes a tenth of a tuple's memory.
                    yield array("I", message.lengths), message.digests
                elif isinstance(message, Chunked):
                    check.finish(message)
                    self._end = message
                else:
                    raise unexpected(message, "chunks of a file")
            if self._end is None:
                raise unexpected(None, "chunks of a file")

    def chunks(self) -> ChunkList:
        """Return the list of all chunks, 20 bytes for each, once the iteration has ended.

        :raises ProtocolError: when it has not
        """
        if self._end is None:
            raise ProtocolError(f"The chunks of {self._path!r} are incomplete. Try again.")
        return self._chunks.finish(self._end.digest)


def check_wanted(request: ReadFiles, limits: SizeLimits) -> None:
    """Check that the content that a request asks for is within the limits.

    :raises GuardError: when a file, or all together, are larger
    """
    wanted = 0
    for file in request.files:
        size = wanted_bytes(file)
        if size > limits.max_file_bytes:
            raise too_large(limits.max_file_bytes, "limits.max_file_bytes", what=f"{file.path!r}")
        wanted += size
    if wanted > limits.max_directory_bytes:
        raise too_large(limits.max_directory_bytes, "limits.max_directory_bytes", what=f"Directory {request.directory!r}")
