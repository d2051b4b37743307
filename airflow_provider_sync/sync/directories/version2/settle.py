"""Digest files for which size and times do not decide whether they are equal, in bulk and on both sides in parallel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

import msgspec

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.file_digests import digest_file
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.v2.file_messages import FileDigest
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.directories.noted_files import NotedFiles
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.plan import Rules, Step, compare_files, settle
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

BATCH = 4_096
"""Number of files in one request."""

_AT_ONCE = 64
"""Number of small files that one thread digests at a time."""

_TRIES = 3

Record = Callable[[Iterable[TreeEntry]], None]
"""Called with files of the target and their digests."""


class Settling:
    """Decides about the unsettled files of a comparison.

    :param record: called with the digests of the target's files
    :ivar files_read: number of target files that were read
    :ivar gone: files that the source removed since it listed them
    :ivar unreadable: files that the source cannot read, with reasons
    :ivar has_digests: whether the source digests files
    """

    def __init__(self, source: SourceDirectory, storage: Storage, rules: Rules, record: Record) -> None:
        self.files_read = 0
        self.gone = NotedFiles()
        self.unreadable = NotedFiles()
        self.has_digests = True
        self._source = source
        self._storage = storage
        self._rules = rules
        self._record = record

    def run(self, work: Work) -> None:
        """Decide about all unsettled files."""
        if not len(work.unsettled):
            return
        steps = iter(work.unsettled)
        workers = self._storage.concurrency
        with ThreadPoolExecutor(workers + 1, thread_name_prefix="sync-digest") as pool:
            while batch := list(islice(steps, BATCH)):
                work.add(step for step in self._settle(batch, pool) if step.action != "same")

    def _settle(self, batch: Sequence[Step], pool: ThreadPoolExecutor) -> Iterator[Step]:
        always = self._rules.checksum == "always"
        asked = [step.path for step in batch if always or step.source is None or step.source.digest is None]
        answer: Future[dict[str, FileDigest] | None] = pool.submit(self._ask, tuple(asked))
        read = [step.target for step in batch if step.target is not None and (always or step.target.digest is None)]
        futures = [pool.submit(self._digest_all, read[start : start + _AT_ONCE]) for start in range(0, len(read), _AT_ONCE)]
        try:
            ours: dict[str, TreeEntry] = {}
            for future in futures:
                digested = future.result()
                self._record(digested)
                ours.update((entry.path, entry) for entry in digested)
            self.files_read += len(ours)
            theirs = answer.result()
        finally:
            answer.cancel()
            for pending in futures:
                pending.cancel()
        if theirs is None:
            self.has_digests = False
            rules = msgspec.structs.replace(self._rules, checksum="never")
            yield from (compare_files(step.source, step.target, rules) for step in batch if step.source and step.target)
            return
        yield from self._settled(batch, theirs, ours)

    def _settled(self, batch: Sequence[Step], theirs: Mapping[str, FileDigest], ours: Mapping[str, TreeEntry]) -> Iterator[Step]:
        for step in batch:
            entry, present = step.source, step.target
            if entry is None or present is None:
                continue
            path = entry.path
            digest = theirs.get(path)
            if digest is None:
                digest = FileDigest(entry.digest, entry.size, entry.mtime_ns)
            if digest.digest is None and not digest.is_unstable:
                if digest.problem:
                    self.unreadable.add(path, printable(digest.problem))
                else:
                    self.gone.add(path)
                continue
            now = msgspec.structs.replace(entry, size=digest.size, mtime_ns=digest.mtime_ns, digest=digest.digest)
            present = ours.get(path, present)
            yield settle(Step("unsettled", now, present), now.digest, present.digest, self._rules)

    def _ask(self, paths: tuple[str, ...]) -> dict[str, FileDigest] | None:
        """Return the source's digests; ``None`` if it does not digest."""
        if not paths:
            return {}
        always = self._rules.checksum == "always"

        def ask() -> dict[str, FileDigest]:
            with self._source.digest_files(paths, always=always) as answer:
                return dict(answer)

        return repeated(self._source.client, ask) or None

    def _digest_all(self, entries: Sequence[TreeEntry]) -> list[TreeEntry]:
        return [digested for entry in entries if (digested := self._digest(entry.path)) is not None]

    def _digest(self, path: str) -> TreeEntry | None:
        """Return a target file with its digest; ``None`` if it is missing or unreadable, so that it will be replaced."""
        tries = _TRIES
        while True:
            try:
                with self._storage.open_version(path) as opened:
                    digest = digest_file(opened, self._storage.location)
                    return msgspec.structs.replace(opened.entry, digest=digest)
            except FileError as error:
                tries -= 1
                if tries and isinstance(error, FileChangedError):
                    continue
                if not isinstance(error, (FileChangedError, MissingFileError)) and not is_about_one_file(error.__cause__):
                    raise
                return None
