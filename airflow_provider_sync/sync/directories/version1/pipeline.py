"""Sync one directory by version 1: compare manifests, download files that differ, delete last.

A file gets its final name only when it is complete and has the digest that the source announced. If a file fails, the others are
still synced, but nothing is deleted, unless the options allow skipping such files.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import (
    Changes,
    Md5Hasher,
    NameClashes,
    NoneHasher,
    PathFilter,
    build_manifest,
    compare,
)
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.hashers import FileHasher, load_naming_hasher
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import remove_emptied
from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.failures_in_a_row import FailuresInARow
from airflow_provider_sync.sync.directories.noted_files import NotedFiles
from airflow_provider_sync.sync.directories.outcome import Outcome
from airflow_provider_sync.sync.directories.problems import is_below
from airflow_provider_sync.sync.directories.target_lock import locked
from airflow_provider_sync.sync.directories.version1.downloads import FileDownloads
from airflow_provider_sync.sync.directories.version1.source_files import SourceFiles
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.traffic import Measure


class DirectorySync:
    """One sync of one directory.

    :param selection: the files to sync; by default those that the options select
    :ivar added: number of files that were added
    :ivar updated: number of files that were replaced
    :ivar outcome: the results and failures so far
    """

    def __init__(self, pair: DirectoryPair, selection: PathFilter | None = None) -> None:
        directory = pair.directory
        self.directory = directory
        self.storage = pair.storage
        self.hasher = load_naming_hasher(directory.hasher or "md5")
        self.selection = selection or PathFilter(directory.include, directory.exclude)
        self.source = SourceFiles(pair.client, directory.name, directory.prefix, self.selection)
        self.outcome = Outcome(directory, lambda: len(self.downloads.written))
        self.downloads = FileDownloads(self.source, pair, self.hasher, self.outcome)
        self.unreadable: dict[str, str] = {}
        self._cache = pair.cache
        self._present: Mapping[str, str] = {}

    @property
    def added(self) -> int:
        """Number of files that were added."""
        return sum(path not in self._present for path in self.downloads.written)

    @property
    def updated(self) -> int:
        """Number of files that were replaced."""
        return len(self.downloads.written) - self.added

    def differs(self) -> bool:
        """Tell whether a sync would change anything."""
        return bool(self.compare(self.source_manifest()))

    def done(self) -> dict[str, Any]:
        """Return the results so far, as fields of a report."""
        return {
            "files_added": self.added,
            "files_updated": self.updated,
            "files_deleted": self.outcome.deleted,
            "bytes_written": self.downloads.bytes_written,
            "files_read": self.outcome.files_read,
        }

    def run(self, measure: Measure, dry_run: bool, lock_timeout: float) -> DirectoryReport:
        """Compare, download, delete, and report.

        :raises FileError: naming the files that could not be synced, after everything else was
        """
        with locked(self.storage, lock_timeout, dry_run=dry_run):
            if not dry_run:
                # Unfinished files of killed syncs.
                self.storage.clean(0)
            source = self.source_manifest()
            changes = self.compare(source)
            self.check(source, changes)
            if changes and not dry_run:
                self.check_names(source)
                now = self.download(source, [*changes.added, *changes.changed], changes.obstacles)
                if self.outcome.may_delete:
                    self.delete([path for path in changes.removed if path not in now and not self.is_unknown(path)])
            self.outcome.refuse(wrote=not dry_run)
            return DirectoryReport(
                name=self.directory.name,
                status="planned" if dry_run and changes else "changed" if self.outcome.changed else "unchanged",
                files_total=len(source),
                files_added=len(changes.added) if dry_run else self.added,
                files_updated=len(changes.changed) if dry_run else self.updated,
                files_deleted=len(changes.removed) if dry_run else self.outcome.deleted,
                files_read=self.outcome.files_read,
                bytes_written=self.downloads.bytes_written,
                verified="hash" if self.outcome.is_proven and not (dry_run and changes) else None,
                warnings=self.warnings(source),
                **measure.so_far(),
            )

    def source_manifest(self) -> dict[str, str]:
        """Request the source's manifest, with names checked and patterns applied."""
        source = self.source.manifest()
        self.outcome.has_digests = all(source.values()) and not isinstance(self.hasher, NoneHasher)
        return source

    def compare(self, source: dict[str, str]) -> Changes:
        """Compare the source's manifest with the target's files, without files that either side could not list."""
        self._present = self.target_manifest(self.hasher)
        return self._known(compare(source, self._present))

    def compare_names(self, source: Mapping[str, str]) -> Changes:
        """Compare only the names of files."""
        return self._known(compare(dict.fromkeys(source, ""), self.target_manifest(NoneHasher())))

    def _known(self, changes: Changes) -> Changes:
        self._note_unlisted()
        removed = changes.removed if self.directory.delete else ()
        return Changes(
            added=tuple(path for path in changes.added if not is_below(path, self.unreadable)),
            changed=changes.changed,
            removed=tuple(path for path in removed if not self.is_unknown(path)),
            unchanged=changes.unchanged,
        )

    def _note_unlisted(self) -> None:
        self.outcome.unlisted = NotedFiles({**self.source.unreadable, **self.unreadable}, self.source.more_unreadable)

    def target_manifest(self, hasher: FileHasher) -> dict[str, str]:
        """Digest the target's files; a file that cannot be read gets no digest, so that it is replaced."""
        self.unreadable = {}
        to_replace: list[str] = []

        def on_unreadable(path: str, error: FileError) -> None:
            if path.endswith("/") or error.__cause__ is None:
                self.unreadable[path] = str(error)
            else:
                to_replace.append(path)

        def on_file(_: TreeEntry, was_read: bool) -> None:
            self.outcome.files_read += was_read

        found = build_manifest(
            self.storage,
            hasher,
            self.selection,
            missing_ok=True,
            on_file=on_file,
            on_unreadable=on_unreadable,
            cached=self._cached_md5() if isinstance(hasher, Md5Hasher) else None,
            read_all=self.directory.checksum == "always",
        )
        return {**found, **dict.fromkeys(to_replace, "")}

    def _cached_md5(self) -> CachedRoot:
        # Several directories may share a path, with patterns for different files.
        scope = repr((self.directory.include, self.directory.exclude))
        return self._cache.root(self.storage.location, algorithm="md5", scope=scope)

    def is_unknown(self, path: str) -> bool:
        """Tell whether the source may have this file but could not list it."""
        return path in self.source.unreadable or is_below(path, self.source.unreadable)

    def present(self, changes: Changes) -> int:
        """Count the target's files."""
        return len(changes.removed) + len(changes.changed) + changes.unchanged

    def check(self, source: Mapping[str, str], changes: Changes, *, earlier: int = 0) -> None:
        """Refuse to delete more than the options allow.

        :param earlier: files that earlier steps have deleted
        :raises GuardError: naming the option that allows it
        """
        if not self.outcome.may_delete:
            return  # the reason is reported at the end
        deletes = len(changes.removed) and len(changes.removed) + earlier
        check_deletes(self.directory, deletes=deletes, present=self.present(changes) + earlier, offered=len(source), unit="files")

    def check_names(self, source: Mapping[str, str]) -> None:
        """Refuse names that the target considers equal; see :meth:`.NameClashes.refuse_on`."""
        self._clashes(source).refuse_on(self.storage)

    def _clashes(self, source: Mapping[str, str]) -> NameClashes:
        clashes = NameClashes()
        for path in sorted(source.keys() | self._present.keys(), key=path_order):
            clashes.add(path, at_source=path in source)
        return clashes

    def download(self, source: dict[str, str], wanted: Sequence[str], obstacles: Collection[str]) -> Mapping[str, str]:
        """Download the files, and request those again that the source changed in the meantime.

        :param source: the source's manifest
        :param obstacles: files of the target that may be removed if they are in the way
        :return: the last manifest of the source
        """
        now = self.downloads.run(source, wanted, obstacles if self.outcome.may_delete else ())
        self._note_unlisted()
        return now

    def delete(self, paths: Sequence[str]) -> None:
        """Delete files of the target, and the directories above them that become empty; record files that cannot be deleted.

        :raises FileError: for an error that concerns other files, too
        """
        if not paths:
            return
        failures, before = FailuresInARow(self.outcome), self.outcome.undone
        try:
            with self.storage.writer(may_replace=lambda _: False, on_failure=self.outcome.note_undone) as writer:
                for path in paths:
                    try:
                        writer.remove(path)
                    except FileError as error:
                        failures.note(path, error)
                    else:
                        self.outcome.deleted += 1
                writer.commit()  # stores delete many objects with one request
                remove_emptied(writer, paths, on_failure=failures.note)
        finally:
            self.outcome.deleted -= self.outcome.undone - before

    def warnings(self, source: Mapping[str, str]) -> tuple[str, ...]:
        """Return the warnings of a successful sync."""
        who = "This side takes" if all(source.values()) else "The source sends"
        return self.outcome.warnings(
            no_digests=f"{who} no digests, so every file counts as changed and only sizes are checked.",
            selects_nothing=self.source.selects_nothing,
            clash=self._clashes(source).first,
        )
