"""Download the files of a directory in batches, each file as a whole, and record each file that fails.

A batch that the server refuses is bisected until the file is found that the server cannot send; all other files arrive. Such a
file is requested again if its error is transient, as status 500 may be.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from airflow_provider_sync.config import DEFAULT_FILES_PER_REQUEST
from airflow_provider_sync.exceptions import FileError, IncompleteStreamError, ServerError, SyncError
from airflow_provider_sync.files import StreamDigest
from airflow_provider_sync.files.hashers import FileHasher
from airflow_provider_sync.files.tree_writer import Metadata, NewFile, TreeWriter
from airflow_provider_sync.protocol.v1.frames import Frame
from airflow_provider_sync.sync.attempts import Attempts
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.failures_in_a_row import MAX_BROKEN_IN_A_ROW, FailuresInARow
from airflow_provider_sync.sync.directories.outcome import Outcome
from airflow_provider_sync.sync.directories.problems import ROUNDS, other_content
from airflow_provider_sync.sync.directories.version1.source_files import SourceFiles

MAX_REFUSED_IN_A_ROW = 20
"""Consecutive files that the server refuses; with more, the server counts as broken."""

COMMIT_BYTES = 16 * 1024 * 1024
"""Bytes after which received files are committed before the response ends, so that a kill loses at most that many."""

_ABOUT_FILES = (404, 413, 422, 500)
"""HTTP statuses that may be due to a single file of the request."""


class FileDownloads:
    """The downloads of one sync of one directory.

    :ivar written: paths of the files that arrived
    :ivar bytes_written: number of bytes of content written to the target

    :param outcome: records files that could not be fetched or written
    """

    def __init__(self, source: SourceFiles, pair: DirectoryPair, hasher: FileHasher, outcome: Outcome) -> None:
        self.source = source
        self.directory = pair.directory
        self.storage = pair.storage
        self.hasher = hasher
        self.progress = pair.progress
        self.written: set[str] = set()
        self.bytes_written = 0
        self._wanted = 0
        self._waiting_bytes = 0
        self._unproven: tuple[NewFile, Frame] | None = None  # the last file, if it has no digest
        self._moved: list[str] = []
        self._refused: dict[str, ServerError] = {}
        self._broken: dict[str, IncompleteStreamError | ServerError] = {}
        self._outcome = outcome
        self._failures = FailuresInARow(outcome)

    def run(self, manifest: Mapping[str, str], wanted: Sequence[str], obstacles: Collection[str]) -> Mapping[str, str]:
        """Download the files, and request those again that the source changed in the meantime, or could not send for now.

        :param manifest: the source's manifest
        :param obstacles: files of the target that may be removed if they are in the way
        :return: the last manifest that the source sent
        :raises SyncError: for errors that concern no single file, such as no connection or a full disk
        """
        if not wanted:
            return manifest
        self._wanted = len(wanted)
        with self.storage.writer(may_replace=obstacles.__contains__, on_failure=self._outcome.note_failed) as writer:
            try:
                return self._download(writer, manifest, wanted)
            except SyncError:
                # Files that arrived are kept, so that the next sync need not fetch them again; the first error is reported.
                with suppress(SyncError):
                    self._commit(writer)
                raise

    def _download(self, writer: TreeWriter, manifest: Mapping[str, str], wanted: Sequence[str]) -> Mapping[str, str]:
        first = manifest
        for again in reversed(range(ROUNDS)):
            self._moved, self._refused, self._broken = [], {}, {}
            self._download_once(writer, manifest, wanted)
            if not self._refused and not (self._moved and again):
                break
            before, manifest = manifest, self.source.manifest()
            self._outcome.gone.update(
                dict.fromkeys((path for path in (*self._moved, *self._refused) if path not in manifest), "")
            )
            for path, error in self._refused.items():
                if path in manifest and manifest[path] == before[path] and not error.retryable:
                    self._outcome.note_failed(path, error)
                elif path in manifest:
                    self._moved.append(path)
                    self._broken[path] = error
            wanted = [path for path in self._moved if path in manifest]
            if not wanted:
                break
        for path in filter(manifest.__contains__, self._moved):
            if manifest[path] != first.get(path):
                self._outcome.unstable.add(path)
            else:
                self._outcome.note_failed(path, self._broken.get(path) or other_content(path))
        return manifest

    def _download_once(self, writer: TreeWriter, digests: Mapping[str, str], wanted: Sequence[str]) -> None:
        """Download the files in batches, and record those that changed and those that the server refuses.

        :raises IncompleteStreamError: if no file arrives completely
        """
        remaining = list(wanted)
        attempts = Attempts(self.source.client)
        suspects = most = broken = refused = 0
        while remaining:
            size = self._batch_size()
            batch = remaining[: min(size, most, suspects) if suspects else size]
            done = 0
            try:
                with self.source.get(batch, repeat=not suspects) as frames:
                    for frame in frames:
                        self._keep_unproven()
                        self._take(writer, frame, digests[frame.path])
                        done += 1
                        broken = refused = 0
                    self._keep_unproven()
            except IncompleteStreamError as error:
                done -= self._discard_unproven()
                if done:
                    attempts.progress()
                elif attempts.may_repeat(error):
                    continue
                else:
                    broken += 1
                    alone = len(remaining) == 1 and not self.written and not self.directory.skip_unreadable
                    if alone or broken > MAX_BROKEN_IN_A_ROW:
                        raise
                    self._moved.append(batch[0])
                    self._broken[batch[0]] = error
                    attempts, done = Attempts(self.source.client), 1
            except ServerError as error:
                if error.status not in _ABOUT_FILES:
                    raise
                if len(batch) > 1:
                    suspects, most = len(batch), len(batch) // 2
                    continue
                refused += 1
                if refused > MAX_REFUSED_IN_A_ROW:
                    raise
                self._refused[batch[0]] = error
                # The other files of the batch may be sendable.
                done, suspects = 1, 0
            finally:
                self._discard_unproven()
            self._commit(writer)
            remaining = remaining[done:]
            suspects = max(0, suspects - done)

    def _batch_size(self) -> int:
        """Return the number of files for one request: the configured number, or fewer if the files so far are large."""
        most = self.directory.files_per_request or DEFAULT_FILES_PER_REQUEST
        if not self.written or not self.bytes_written:
            return most
        return max(1, min(most, self.directory.bytes_per_request * len(self.written) // self.bytes_written))

    def _take(self, writer: TreeWriter, frame: Frame, announced: str) -> None:
        """Write one file, or record why it cannot be written.

        :raises FileError: for an error that concerns other files, too
        """
        try:
            arrived = self._write(writer, frame, announced)
        except FileError as error:
            self._failures.note(frame.path, error)
            return
        self._failures.reset()
        if not arrived:
            self._moved.append(frame.path)
            return
        self._waiting_bytes += frame.size
        if self._waiting_bytes >= COMMIT_BYTES:
            self._commit(writer)

    def _write(self, writer: TreeWriter, frame: Frame, announced: str) -> bool:
        """Write one file for the next commit; discard it and return ``False`` if it does not have the announced digest.

        If either side has no digests (hasher ``none``), only the size can be checked, by what follows the file in the answer.
        """
        file = writer.create(frame.path, size=frame.size, metadata=Metadata())
        try:
            with StreamDigest(self.hasher) as digest:
                for chunk in frame.chunks:
                    file.write(chunk)
                    digest.update(chunk)
                found = digest.result() if announced else ""
            if not found:
                self._unproven = file, frame
                return True
            if found != announced:
                return False
            file.finish()
        finally:
            if self._unproven is None:
                file.discard()
        return True

    def _keep_unproven(self) -> None:
        """Keep the last file that has no digest: another one, or the end of the answer, follows where it should end."""
        if self._unproven is None:
            return
        file, frame = self._unproven
        try:
            file.finish()
        except FileError as error:
            self._failures.note(frame.path, error)
        finally:
            self._discard_unproven()

    def _discard_unproven(self) -> bool:
        """Discard the last file unless it was kept, and tell whether there was one.

        If no other file follows where it should end, its size changed while it was sent, and it may have content of the next one.
        """
        if self._unproven is None:
            return False
        self._unproven[0].discard()
        self._unproven = None
        return True

    def _commit(self, writer: TreeWriter) -> None:
        """Move the files that arrived to their final names, and count them."""
        self._waiting_bytes = 0
        for entry in writer.commit():
            self.bytes_written += entry.size
            self.written.add(entry.path)
            self.progress(self.directory.name, 1, "files", self._wanted)
            self.progress(self.directory.name, entry.size, "bytes")
