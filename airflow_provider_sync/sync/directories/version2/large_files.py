"""Fetch one large file: only the chunks that the target's version lacks, and going on where an earlier try was cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import FileChangedError, FileError, IncompleteStreamError, ServerError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.assemble import after, assemble, fetched_ranges, whole_file
from airflow_provider_sync.files.chunks import ChunkList, Stretch, chunk_file, missing_ranges
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import NewFile, TreeWriter
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_RANGES,
    ChunkFile,
    Content,
    ContentFailed,
    DigestFiles,
    FileEntry,
    ReadFiles,
    RequestedFile,
)
from airflow_provider_sync.sync.attempts import Attempts, repeated
from airflow_provider_sync.sync.directories.version2.listings import LARGE_BYTES
from airflow_provider_sync.sync.directories.version2.plan import Rules, Step
from airflow_provider_sync.sync.directories.version2.receive import metadata_of
from airflow_provider_sync.sync.directories.version2.written import Written


class NotSent(Exception):
    """The server did not send the file.

    :ivar failure: what it says of it
    """

    def __init__(self, failure: ContentFailed) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Content:
    """The bytes of messages, and the digest that came with the last one.

    :param messages: those of one answer, which has checked them
    """

    def __init__(self, messages: Iterable[Content]) -> None:
        self._messages = messages
        self._digest = b""

    def __iter__(self) -> Iterator[memoryview]:
        for message in self._messages:
            if message.end is not None:
                self._digest = message.end.digest
            yield message.data

    def checked(self) -> bytes:
        """Return the digest of a file that came as a whole, after its end."""
        return self._digest


class LargeFiles:
    """The large files of one sync of one directory.

    :param storage: the target
    :param root: remembers the chunks of the target's files
    :param request: the directory; its files are left out
    :param stopped: set when the sync has failed elsewhere
    """

    def __init__(
        self,
        client: SyncClient,
        storage: Storage,
        root: CachedRoot,
        request: ReadFiles,
        writer: TreeWriter,
        rules: Rules,
        written: Written,
        stopped: Event,
    ) -> None:
        self._client = client
        self._storage = storage
        self._root = root
        self._request = request
        self._writer = writer
        self._rules = rules
        self._written = written
        self._stopped = stopped

    def fetch(self, step: Step) -> None:
        """Fetch a file, and leave it to the next commit.

        :raises NotSent: when the source cannot send it as it was listed
        :raises FileChangedError: when either side changed meanwhile
        :raises SyncError: for any other reason; what came of it stays for the next sync
        """
        entry = step.source
        if entry is None:
            return
        source, plan = self._plan(step, entry)
        digest = source.digest if source is not None else entry.digest
        key = f"{entry.size} {entry.mtime_ns}"
        new = self._writer.create(entry.path, size=entry.size, metadata=metadata_of(entry, self._rules), resume_key=key)
        try:
            if new.written and digest is None and (digest := self._ask_digest(entry)) is None:
                # Nothing tells whether what an earlier try left is of this version.
                new.discard()
                new = self._writer.create(entry.path, size=entry.size, metadata=metadata_of(entry, self._rules), resume_key=key)
            digest = self._assemble(new, plan, entry, digest)
        except (NotSent, FileChangedError):
            new.discard()
            raise
        except BaseException:
            new.keep()
            raise
        self._written.expect(step, digest, is_counted=True, chunks=source)
        new.finish()

    def _assemble(self, new: NewFile, plan: list[Stretch], entry: FileEntry, digest: bytes | None) -> bytes:
        """Write what is left of a file, going on after answers that are cut."""
        attempts = Attempts(self._client)
        while True:
            before = new.written
            left = after(plan, before)
            try:
                content = _Content(self._read(entry, fetched_ranges(left)))
                checked = content.checked if left == whole_file(entry.size) else None
                found = assemble(new, left, entry.path, content, digest=digest, checked=checked)
                self._written.note_progress(sum(stretch.length for stretch in plan if stretch.local is not None))
                return found
            except IncompleteStreamError as error:
                if self._stopped.is_set():
                    raise
                if new.written > before:
                    attempts.progress()
                else:
                    attempts.pause(error)

    def _read(self, entry: FileEntry, ranges: tuple[tuple[int, int], ...]) -> Iterator[Content]:
        for start in range(0, len(ranges), MAX_RANGES):
            some = ranges[start : start + MAX_RANGES]
            is_whole = some == ((0, entry.size),)
            file = RequestedFile(path=entry.path, size=entry.size, mtime_ns=entry.mtime_ns, ranges=None if is_whole else some)
            with self._client.read_files(msgspec.structs.replace(self._request, files=(file,))) as answer:
                for message in answer:
                    if self._stopped.is_set():
                        raise IncompleteStreamError("Another download failed.")
                    if isinstance(message, ContentFailed):
                        raise NotSent(message)
                    self._written.note_progress(len(message.data))
                    yield message

    def _plan(self, step: Step, entry: FileEntry) -> tuple[ChunkList | None, list[Stretch]]:
        """Return the chunks of the source's version, if they were asked for, and how to make it.

        :raises FileChangedError: when that version is not the one that was listed
        """
        present = step.target
        # To read an object costs as much as to fetch it.
        if step.action != "changed" or present is None or present.size <= LARGE_BYTES or self._storage.is_remote:
            return None, whole_file(entry.size)
        with ThreadPoolExecutor(1, thread_name_prefix="sync-chunks") as pool:
            asked = pool.submit(self._ask_chunks, entry)
            local = self._local_chunks(present)
            source = asked.result()
        if source is None or local is None:
            return source, whole_file(entry.size)
        if source.size != entry.size:
            raise FileChangedError(f"{entry.path!r} changed at the source since it was listed. Try again.")
        return source, missing_ranges(source, local)

    def _ask_chunks(self, entry: FileEntry) -> ChunkList | None:
        """Return the chunks of the source's version; ``None`` if the server refuses, for a reason that the download will show."""
        request = self._request
        asked = ChunkFile(directory=request.directory, folder=request.folder, links=request.links, path=entry.path)
        try:
            return repeated(self._client, lambda: self._client.chunk_file(asked, size=entry.size))
        except ServerError as error:
            if error.retryable:
                raise
            return None

    def _local_chunks(self, present: TreeEntry) -> ChunkList | None:
        """Return the chunks of the target's version; ``None`` if it cannot be read."""
        if (known := self._root.chunks(present)) is not None:
            return known
        try:
            with self._storage.open_version(present.path) as opened:
                digest = present.digest if opened.entry.version == present.version else None
                chunks = chunk_file(opened.file, opened.entry.size, digest=digest)
                if not opened.is_unchanged():
                    return None
                self._root.record_chunks(opened.entry, chunks)
        except (FileError, OSError):
            return None  # it will be replaced as a whole
        return chunks

    def _ask_digest(self, entry: FileEntry) -> bytes | None:
        """Return the digest of the source's version, by which what an earlier try has left is checked."""
        request = self._request
        asked = DigestFiles(directory=request.directory, folder=request.folder, links=request.links, paths=(entry.path,))

        def ask() -> bytes | None:
            with self._client.digest_files(asked) as answer:
                found = [digest for _, digest in answer]
            return found[0].digest if found and (found[0].size, found[0].mtime_ns) == (entry.size, entry.mtime_ns) else None

        return repeated(self._client, ask)


def is_large(step: Step) -> bool:
    """Whether a file is fetched by itself."""
    return step.source is not None and step.source.size > LARGE_BYTES
