"""Write the new version of a large file, fetching only the chunks that the target's version lacks.

There are three threads: one receives the source's chunk list, one compares it with the target's version, and the caller's thread
writes and digests the new version. So both sides work in parallel, and the target reads its version once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from threading import Event

from airflow_provider_sync.exceptions import FileChangedError, IncompleteStreamError, ServerError
from airflow_provider_sync.files.assemble import after, assemble, check_digest
from airflow_provider_sync.files.chunk_matching import ChunkMatching, Stretch
from airflow_provider_sync.files.chunks import ChunkList, ChunkPiece
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.files.stretches_ahead import StretchesAhead
from airflow_provider_sync.files.tree_writer import NewFile
from airflow_provider_sync.protocol.v2.file_messages import UNSTABLE_FILE_STATUS, Content, FileEntry
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

ReadRanges = Callable[[tuple[tuple[int, int], ...]], Iterable[Content]]
"""Fetches ranges of the source's version, given by offset and length."""


class NoChunksError(Exception):
    """The server refuses to send a file's chunk list; a download of the whole file will show the reason."""


class ChangedFile:
    """An attempt to write a new version.

    :param entry: the source's version, as listed
    :param old: the target's version
    :param known: the chunks of the target's version, if known
    :param is_stopped: tells whether the sync has failed in another thread
    """

    def __init__(
        self,
        source: SourceDirectory,
        entry: FileEntry,
        old: VersionedFile,
        known: ChunkList | None,
        is_stopped: Callable[[], bool],
    ) -> None:
        self._source = source
        self._entry = entry
        self._old = old
        self._known = known
        self._is_stopped = is_stopped
        self._closed = Event()
        self._pieces: SimpleQueue[ChunkPiece | None] = SimpleQueue()
        self._ahead = StretchesAhead()

    def write(self, new: NewFile, read: ReadRanges, note_copied: Callable[[int], None]) -> ChunkList:
        """Write the rest of a new version, verify the whole by its digest, and return its chunks.

        :param read: fetches ranges that the target lacks
        :param note_copied: called with the number of bytes that were copied from the target's version
        :raises NoChunksError: if the file has to be fetched as a whole
        :raises FileChangedError: if either version changed in the meantime
        :raises IncompleteStreamError: if a response is cut off; ``new`` can be resumed
        """
        with ThreadPoolExecutor(2, thread_name_prefix="sync-chunks") as pool:
            asking = pool.submit(self._ask)
            pool.submit(self._ahead.fill, after(self._stretches(asking, new), new.written))
            try:
                found = assemble(new, self._plan(note_copied), self._entry.path, self._content(read, asking))
            finally:
                self._closed.set()
                self._ahead.close()
            chunks = asking.result()
        if chunks.size != self._entry.size:
            raise self._changed()
        check_digest(self._entry.path, found, chunks.digest)
        return chunks

    def _ask(self) -> ChunkList:
        """Receive the source's chunks as fast as they arrive: they are few bytes, and the server does not wait for long."""
        begun = False
        try:
            with self._source.chunk_file(self._entry) as answer:
                begun = True
                for piece in answer:
                    if self._closed.is_set() or self._is_stopped():
                        raise IncompleteStreamError("Another download failed.")
                    self._pieces.put(piece)
                return answer.chunks()
        except ServerError as error:
            if error.status == UNSTABLE_FILE_STATUS:
                raise self._changed() from error
            if not error.retryable:
                raise NoChunksError from error
            if begun:
                # An error before the response began needs no change: the client has already repeated the request.
                raise IncompleteStreamError(str(error)) from error
            raise
        finally:
            self._pieces.put(None)

    def _stretches(self, asking: Future[ChunkList], new: NewFile) -> Iterator[Stretch]:
        size = self._entry.size
        # If the file system can share blocks, copied bytes need not be in memory.
        keep_from = size if new.shares_blocks else new.written
        matching = ChunkMatching(
            self._old.file, self._old.entry.size, known=self._known, buffers=self._ahead, keep_from=keep_from
        )
        for stretch in matching.stretches(self._received(asking)):
            if stretch.offset + stretch.length > size:
                raise self._changed()
            yield stretch

    def _received(self, asking: Future[ChunkList]) -> Iterator[ChunkPiece]:
        while (piece := self._pieces.get()) is not None:
            yield piece
        asking.result()

    def _plan(self, note_copied: Callable[[int], None]) -> Iterator[Stretch]:
        for stretch in self._ahead:
            yield stretch
            if stretch.local is not None:
                note_copied(stretch.length)

    def _content(self, read: ReadRanges, asking: Future[ChunkList]) -> Iterator[memoryview]:
        # When the writer needs more bytes, all ranges known to be missing by then are requested.
        while ranges := self._ahead.missing():
            begun = False
            try:
                for message in read(ranges):
                    begun = True
                    yield message.data
            except ServerError as error:
                if begun or not error.retryable or asking.done():
                    raise
                # A server that allows few parallel requests may still be busy with the chunk list.
                wait([asking])
                for message in read(ranges):
                    yield message.data

    def _changed(self) -> FileChangedError:
        return FileChangedError(f"{self._entry.path!r} changed at the source since it was listed. Try again.")
