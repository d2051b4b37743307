"""Count the files that a sync has written, and keep the target's new entries for the cache and for the state of the tree."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

import msgspec

from airflow_provider_sync.files.chunks import ChunkList
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.progress import Progress


class _Expected(NamedTuple):
    step: Step
    digest: bytes
    is_counted: bool
    is_local: bool
    chunks: ChunkList | None


class WriteLog:
    """The files written so far; thread-safe.

    :param name: name of the directory
    :param root: remembers digests and chunks
    :ivar entries: entries of written files, sorted by path
    :ivar deleted: entries of deleted files, sorted by path
    :ivar added: number of files that were added
    :ivar updated: number of files that were replaced
    :ivar bytes: number of bytes of content fetched and written
    :ivar total_files: number of files to write
    :ivar total_bytes: number of bytes of content to write
    """

    def __init__(self, name: str, progress: Progress, root: CachedRoot) -> None:
        self.entries = SpooledList(TreeEntry, order=lambda entry: path_order(entry.path))
        self.deleted = SpooledList(TreeEntry, order=lambda entry: path_order(entry.path))
        self.added = 0
        self.updated = 0
        self.bytes = 0
        self.total_files = 0
        self.total_bytes = 0
        self._name = name
        self._progress = progress
        self._root = root
        self._lock = Lock()
        self._expected: dict[str, _Expected] = {}
        self._kept: dict[str, TreeEntry | None] = {}

    @property
    def files(self) -> int:
        """Number of files that were written."""
        return self.added + self.updated

    def expect(
        self,
        step: Step,
        digest: bytes,
        *,
        is_counted: bool = False,
        is_local: bool = False,
        chunks: ChunkList | None = None,
    ) -> None:
        """Register a file before it is moved to its final name.

        :param digest: digest of its content
        :param is_counted: whether its bytes were already reported as progress
        :param is_local: whether its content was already at the target
        :param chunks: chunks of its content, if known
        """
        self._expected[step.path] = _Expected(step, digest, is_counted, is_local, chunks)

    def keep(self, path: str) -> None:
        """Keep the entry of a file, once it is written, for :meth:`kept`."""
        self._kept[path] = None

    def kept(self, path: str) -> TreeEntry | None:
        """Return the entry of a written file with its digest; ``None`` before it has its final name."""
        return self._kept[path]

    def note_progress(self, size: int) -> None:
        """Report bytes of a large file."""
        with self._lock:
            self._progress(self._name, size, "bytes", self.total_bytes)

    def add(self, entries: Sequence[TreeEntry]) -> None:
        """Count files that were moved to their final names."""
        found = []
        files = size = uncounted = 0
        with self._lock:
            for entry in entries:
                expected = self._expected.pop(entry.path, None)
                if expected is None:
                    self.entries.append(entry)  # only its metadata was set
                    continue
                step, digest, is_counted, is_local, chunks = expected
                self.updated += step.action == "changed"
                self.added += step.action != "changed"
                files += 1
                size += 0 if is_local else entry.size
                uncounted += 0 if is_counted else entry.size
                entry = msgspec.structs.replace(entry, digest=digest)
                found.append(entry)
                if entry.path in self._kept:
                    self._kept[entry.path] = entry
                if chunks is not None:
                    self._root.record_chunks(entry, chunks)
                self.entries.append(entry)
            self.bytes += size
            if found:
                self._root.record(found)
            if files:
                self._progress(self._name, files, "files", self.total_files)
            if uncounted:
                self._progress(self._name, uncounted, "bytes", self.total_bytes)

    def add_touched(self, entry: TreeEntry, digest: bytes | None) -> None:
        """Add the new entry of a file of which only metadata was set.

        :param digest: digest of its content, if known
        """
        with self._lock:
            self.entries.append(entry)
            if digest is not None:
                self._root.record([msgspec.structs.replace(entry, digest=digest)])

    def add_link(self, step: Step) -> None:
        """Count a symbolic link, which a commit will move to its final name."""
        with self._lock:
            self.added += step.target is None
            self.updated += step.target is not None
            link_target = step.source.link_target if step.source is not None else None
            self.entries.append(TreeEntry(step.path, "link", link_target=link_target))
            self._progress(self._name, 1, "files", self.total_files)

    def close(self) -> None:
        """Remove what is on disk."""
        self.entries.close()
        self.deleted.close()
