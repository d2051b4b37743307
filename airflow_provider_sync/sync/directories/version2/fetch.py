"""Fetch files in batches bounded by bytes, with several requests in parallel, and commit each batch as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from threading import Event, Lock

from airflow_provider_sync.exceptions import FileChangedError, FileError, IncompleteStreamError, SyncError
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.v2.file_messages import ContentFailed, RequestedFile
from airflow_provider_sync.sync.attempts import Attempts
from airflow_provider_sync.sync.directories.failures_in_a_row import FailuresInARow
from airflow_provider_sync.sync.directories.version2.commits_behind import CommitsBehind
from airflow_provider_sync.sync.directories.version2.large_files import LargeFiles, NotSent, is_large
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.directories.version2.receive import Receiver
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

BATCH_BYTES = 16 * 1024 * 1024
"""Maximum size, in bytes, of one request for small files."""

MIN_BATCH_BYTES = 4 * 1024 * 1024
"""Size, in bytes, below which a request is not divided for parallel downloads."""

BATCH_FILES = 2_000
"""Maximum number of files in one request."""


class Fetching:
    """The downloads of one sync of one directory.

    :param downloads: maximum number of parallel requests
    :ivar changed: files that no longer were as listed
    :ivar failures: records files that could not be fetched or written
    """

    def __init__(self, source: SourceDirectory, target: OpenTarget, *, downloads: int) -> None:
        self.changed: list[Step] = []
        self.failures = FailuresInARow(target.outcome)
        self._source = source
        self._target = target
        self._downloads = downloads
        self._stopped = Event()
        self._large = LargeFiles(source, target, self._stopped)
        self._lock = Lock()
        self._committing = Lock()
        self._first_error: BaseException | None = None

    def run(self, steps: Iterable[Step], *, total_bytes: int) -> None:
        """Fetch files, and record those that fail.

        :param steps: ``added`` and ``changed``
        :raises SyncError: for errors that concern no single file, such as no connection or a full disk
        """
        size = min(BATCH_BYTES, max(MIN_BATCH_BYTES, total_bytes // (2 * self._downloads)))
        batches = batches_of(steps, size)
        # More threads than cores slow each other down on a local disk; requests to a store wait for it most of the time.
        workers = min(self._downloads, self._target.storage.concurrency, -(-total_bytes // size))
        try:
            with CommitsBehind(self._commit_behind) as behind:
                if workers <= 1:
                    self._fetch_all(batches, behind)
                    return
                with ThreadPoolExecutor(workers, thread_name_prefix="sync-fetch") as pool:
                    futures = [pool.submit(self._fetch_all, batches, behind) for _ in range(workers)]
                    try:
                        for future in as_completed(futures):
                            future.result()
                    except BaseException as error:
                        self._stop(error)
                        raise
        except BaseException as error:
            # The other threads fail only because the first one did.
            if self._first_error is None or self._first_error is error:
                raise
            raise self._first_error from None

    def _fetch_all(self, batches: Iterator[Sequence[Step]], behind: CommitsBehind) -> None:
        """Fetch batches until there are none, or another thread fails."""
        try:
            while not self._stopped.is_set():
                with self._lock:
                    batch = next(batches, None)
                if batch is None:
                    return
                self._fetch(batch)
                behind.add()
        except BaseException as error:
            self._stop(error)
            raise

    def _commit_behind(self) -> None:
        try:
            self.commit()
        except BaseException as error:
            self._stop(error)
            raise

    def _stop(self, error: BaseException) -> None:
        """End all downloads."""
        with self._lock:
            if self._first_error is None:
                self._first_error = error
        self._stopped.set()

    def _fetch(self, batch: Sequence[Step]) -> None:
        try:
            if is_large(batch[0]):
                self._fetch_large(batch[0])
            else:
                self._fetch_small(batch)
        except SyncError:
            # Files that arrived are kept, so that the next sync need not fetch them again; the first error is reported.
            with suppress(SyncError):
                self.commit()
            raise

    def _fetch_large(self, step: Step) -> None:
        """Fetch a file that is a batch by itself."""
        try:
            self._large.fetch(step)
        except NotSent as error:
            self._take_failure(step, error.failure)
        except FileChangedError:
            self.changed.append(step)
        except FileError as error:
            self.failures.note(step.path, error)
        else:
            self.failures.reset()

    def _fetch_small(self, batch: Sequence[Step]) -> None:
        """Fetch one batch, and resume after responses that were cut off."""
        attempts = Attempts(self._source.client)
        remaining = batch
        while remaining and not self._stopped.is_set():
            receiver = Receiver(remaining, self._target)
            try:
                self._receive(remaining, receiver)
            except IncompleteStreamError as error:
                self.commit()
                if receiver.done:
                    attempts.progress()
                elif not attempts.may_repeat(error):
                    if not self._target.written.files:
                        raise
                    # The other files may arrive completely.
                    self.failures.note_broken(remaining[0].path, error)
                    attempts = Attempts(self._source.client)
                    remaining = remaining[1:]
                    continue
            remaining = remaining[receiver.done :]

    def _receive(self, steps: Sequence[Step], receiver: Receiver) -> None:
        files = [
            RequestedFile(path=step.path, size=step.source.size, mtime_ns=step.source.mtime_ns) for step in steps if step.source
        ]
        with self._source.read_files(files) as answer, receiver:
            for message in answer:
                if self._stopped.is_set():
                    return
                if isinstance(message, ContentFailed):
                    receiver.skip()
                    self._take_failure(steps[message.number], message)
                    continue
                failure = receiver.take(message)
                if failure is not None:
                    self.failures.note(steps[message.number].path, failure)
                elif message.end is not None:
                    self.failures.reset()

    def _take_failure(self, step: Step, message: ContentFailed) -> None:
        match message.reason:
            case "gone":
                self._target.outcome.gone.add(step.path)
            case "changed":
                self.changed.append(step)
            case "unreadable":
                self._target.outcome.failed.add(step.path, printable(message.message))

    def commit(self) -> None:
        """Move the received files to their final names, and count them.

        :raises FileError: for a full or broken disk
        """
        with self._committing:
            self._target.written.add(self._target.writer.commit())


def batches_of(steps: Iterable[Step], max_bytes: int) -> Iterator[Sequence[Step]]:
    """Divide steps into batches of at most ``max_bytes`` and :data:`BATCH_FILES`; a large file is a batch by itself."""
    batch: list[Step] = []
    size = 0
    for step in steps:
        if is_large(step):
            yield [step]
            continue
        file_size = step.source.size if step.source is not None else 0
        if batch and (size + file_size > max_bytes or len(batch) == BATCH_FILES):
            yield batch
            batch, size = [], 0
        batch.append(step)
        size += file_size
    if batch:
        yield batch
