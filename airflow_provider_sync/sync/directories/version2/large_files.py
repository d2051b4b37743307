"""Fetch one large file: only the chunks that the target's version lacks, resuming where an earlier attempt was cut off."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import TypeVar

from airflow_provider_sync.exceptions import DamagedStreamError, FileChangedError, FileError, IncompleteStreamError
from airflow_provider_sync.files.assemble import after, assemble, fetched_ranges, whole_file
from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.storage import VersionedFile
from airflow_provider_sync.files.tree_writer import NewFile
from airflow_provider_sync.protocol.v2.file_messages import (
    MAX_RANGES,
    Content,
    ContentFailed,
    FileEntry,
    RequestedFile,
)
from airflow_provider_sync.sync.attempts import Attempts, repeated
from airflow_provider_sync.sync.directories.version2.changed_file import ChangedFile, NoChunksError
from airflow_provider_sync.sync.directories.version2.listings import LARGE_BYTES
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

Result = TypeVar("Result")


class NotSent(Exception):
    """The server did not send the file.

    :ivar failure: the server's message about it
    """

    def __init__(self, failure: ContentFailed) -> None:
        super().__init__(failure.message)
        self.failure = failure


class _Content:
    """The bytes of messages, and the digest that came with the last one.

    :param messages: the checked messages of one response
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
        """Return the digest that the source sent at the end of a complete file."""
        return self._digest


class LargeFiles:
    """The large files of one sync of one directory.

    :param stopped: set when the sync has failed in another thread
    """

    def __init__(self, source: SourceDirectory, target: OpenTarget, stopped: Event) -> None:
        self._source = source
        self._target = target
        self._stopped = stopped

    def fetch(self, step: Step) -> None:
        """Fetch a file for the next commit, from its beginning if an answer was damaged.

        :raises NotSent: if the source cannot send it as it was listed
        :raises FileChangedError: if either side changed in the meantime
        :raises DamagedStreamError: if the answer was damaged each time
        :raises SyncError: for any other reason; the received part is kept for the next sync
        """
        entry = step.source
        if entry is None:
            return None
        attempts = Attempts(self._source.client)
        while True:
            try:
                return self._fetch_once(step, entry)
            except DamagedStreamError as error:
                if self._stopped.is_set():
                    raise
                attempts.pause(error)

    def _fetch_once(self, step: Step, entry: FileEntry) -> None:
        new = self._create(entry)
        try:
            chunks = self._write_changed(new, step, entry)
            if chunks is not None:
                digest = chunks.digest
            else:
                expected = entry.digest
                if new.written and expected is None and (expected := self._ask_digest(entry)) is None:
                    # It is unknown whether the part from an earlier attempt is of this version.
                    new.discard()
                    new = self._create(entry)
                digest = self._write_whole(new, entry, expected)
        except (NotSent, FileChangedError, DamagedStreamError):
            new.discard()
            raise
        except BaseException:
            new.keep()
            raise
        self._target.written.expect(step, digest, is_counted=True, chunks=chunks)
        new.finish()

    def _create(self, entry: FileEntry) -> NewFile:
        key = f"{entry.size} {entry.mtime_ns}"
        return self._target.writer.create(entry.path, size=entry.size, metadata=self._target.metadata_of(entry), resume_key=key)

    def _write_changed(self, new: NewFile, step: Step, entry: FileEntry) -> ChunkList | None:
        """Write the rest of a file, using chunks of the target's version.

        :return: the file's chunks; ``None`` if it has to be fetched as a whole
        """
        with self._old_version(step) as old:
            if old is None:
                return None
            known = self._target.root.chunks(old.entry)

            def write() -> ChunkList:
                changed = ChangedFile(self._source, entry, old, known, self._stopped.is_set)
                return changed.write(new, lambda ranges: self._read(entry, ranges), self._target.written.note_progress)

            try:
                return self._going_on(new, write)
            except NoChunksError:
                return None

    def _write_whole(self, new: NewFile, entry: FileEntry, expected: bytes | None) -> bytes:
        """Fetch the rest of a file.

        :param expected: the file's digest, if known
        """

        def write() -> bytes:
            left = list(after(whole_file(entry.size), new.written))
            content = _Content(self._read(entry, fetched_ranges(left)))
            checked = content.checked if left == whole_file(entry.size) else None
            return assemble(new, left, entry.path, content, digest=expected, checked=checked)

        return self._going_on(new, write)

    @contextmanager
    def _old_version(self, step: Step) -> Iterator[VersionedFile | None]:
        """Open the target's version; ``None`` if there is none from which copying would save anything."""
        present = step.target
        # In an object store, reading the old version costs as much as fetching the new one.
        if step.action != "changed" or present is None or present.size <= LARGE_BYTES or self._target.storage.is_remote:
            yield None
            return
        try:
            opened = self._target.storage.open_version(present.path)
        except FileError:
            yield None  # it will be replaced as a whole
            return
        with opened:
            yield opened

    def _going_on(self, new: NewFile, write: Callable[[], Result]) -> Result:
        """Call ``write`` until it succeeds, as long as responses that were cut off brought something new."""
        attempts = Attempts(self._source.client)
        while True:
            before = new.written
            try:
                return write()
            except DamagedStreamError:
                raise  # what is written may be damaged, too
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
            with self._source.read_files((file,)) as answer:
                for message in answer:
                    if self._stopped.is_set():
                        raise IncompleteStreamError("Another download failed.")
                    if isinstance(message, ContentFailed):
                        raise NotSent(message)
                    self._target.written.note_progress(len(message.data))
                    yield message

    def _ask_digest(self, entry: FileEntry) -> bytes | None:
        """Request the digest of the source's version, to check the part from an earlier attempt."""

        def ask() -> bytes | None:
            with self._source.digest_files((entry.path,)) as answer:
                found = [digest for _, digest in answer]
            return found[0].digest if found and (found[0].size, found[0].mtime_ns) == (entry.size, entry.mtime_ns) else None

        return repeated(self._source.client, ask)


def is_large(step: Step) -> bool:
    """Tell whether a file is fetched in a request of its own."""
    return step.source is not None and step.source.size > LARGE_BYTES
