"""Keep one directory in step by version 2: list both sides, settle, fetch what differs, delete last.

A file that fails stops no other; but nothing is deleted then, unless the options say that such files may be skipped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import FileError, SyncError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.protocol.v2.file_messages import DigestFiles, Links, ListFiles, ReadFiles
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.problems import (
    clashing,
    gone,
    never_at_rest,
    not_synced,
    reasons,
    restless,
    skipped,
    some_of,
)
from airflow_provider_sync.sync.directories.version2.apply import Applying
from airflow_provider_sync.sync.directories.version2.compare import Work, find_work, list_both
from airflow_provider_sync.sync.directories.version2.fetch import Fetching
from airflow_provider_sync.sync.directories.version2.listings import SourceListing, TargetListing, state_of
from airflow_provider_sync.sync.directories.version2.local_copies import LocalCopies
from airflow_provider_sync.sync.directories.version2.remembered import Remembered, entries_after, recall, remember, state_key
from airflow_provider_sync.sync.directories.version2.selection import ignored_actions, rules_for, scope_of, selection_of
from airflow_provider_sync.sync.directories.version2.settle import Settling
from airflow_provider_sync.sync.directories.version2.written import Written
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.traffic import Measure


class DirectorySync:
    """One sync of one directory.

    :param cache: remembers digests and states
    """

    def __init__(
        self, client: SyncClient, directory: TargetDirectory, storage: Storage, progress: Progress, cache: DigestCache
    ) -> None:
        self.client = client
        self.directory = directory
        self.storage = storage
        self.rules = rules_for(directory, storage)
        self.selection = selection_of(directory, storage)
        self.root = cache.root(storage.location, scope=scope_of(directory))
        self.key = state_key(client.url, directory, self.rules)
        self.written = Written(directory.name, progress, self.root)
        self.problems: dict[str, str] = {}
        self.touched = 0
        self.moved = 0
        self._restless: tuple[str, ...] = ()
        self._gone: set[str] = set()
        self._deleted = 0
        self._made = 0

    def done(self) -> dict[str, Any]:
        """Return what was done so far, as fields of a report."""
        return {
            "protocol": 2,
            "files_added": self.written.added,
            "files_updated": self.written.updated,
            "files_touched": self.touched,
            "files_moved": self.moved,
            "bytes_written": self.written.bytes,
        }

    def differs(self) -> bool:
        """Whether the content of anything differs; nothing is written."""
        with ExitStack() as lists:
            source, target = lists.enter_context(self._listed(self._recall()))
            if source.unchanged:
                return False
            work = lists.enter_context(Work())
            settling = self._find_work(source, target, work)
            if not work:
                self._remember(source, target, work, (), self._warnings(source, settling))
            return work.differs

    def run(self, measure: Measure, dry_run: bool, lock_timeout: float) -> DirectoryReport:
        """Compare, fetch, delete, and report.

        :raises FileError: naming the files that could not be synced, after everything else was
        """
        # Taking the lock makes a missing root, and a dry run writes nothing.
        with ExitStack() as lists:
            lists.enter_context(nullcontext() if dry_run else self._alone(lock_timeout))
            lists.callback(self.written.close)
            remembered = self._recall()
            source, target = lists.enter_context(self._listed(remembered))
            if source.unchanged and remembered is not None:
                return self._unchanged(remembered, measure)
            work = lists.enter_context(Work())
            settling = self._find_work(source, target, work)
            self._check(source, target, work)
            if not dry_run:
                self.storage.clean(0)
            deleted = self._apply(source, target, work, lists) if (work or len(work.emptied)) and not dry_run else ()
            self._refuse()
            warnings = self._warnings(source, settling)
            if not dry_run or not work:
                self._remember(source, target, work, deleted, warnings)
            done = self.written.files + self.touched + self._deleted + self._made
            return DirectoryReport(
                name=self.directory.name,
                status="planned" if dry_run and work else "changed" if done else "unchanged",
                protocol=2,
                files_total=source.files,
                files_added=work.added if dry_run else self.written.added,
                files_updated=work.updated if dry_run else self.written.updated,
                files_deleted=len(work.removed) if dry_run else self._deleted,
                files_touched=work.touched_files if dry_run else self.touched,
                files_moved=self.moved,
                files_read=settling.files_read,
                bytes_written=self.written.bytes,
                verified="digest" if self._is_proven(settling) and not (dry_run and work) else None,
                warnings=warnings,
                **measure.so_far(),
            )

    @contextmanager
    def _alone(self, lock_timeout: float) -> Iterator[None]:
        """Hold the lock, and remove unfinished files after a signal."""
        with self.storage.exclusive(lock_timeout):
            try:
                yield
            except KeyboardInterrupt:
                # A signal can come after a file was created and before the block that removes it was entered.
                with suppress(FileError):  # the next sync tries again
                    self.storage.clean(0)
                raise

    def _recall(self) -> Remembered | None:
        return recall(self.root, self.key) if self.rules.checksum != "always" else None

    def _unchanged(self, remembered: Remembered, measure: Measure) -> DirectoryReport:
        return DirectoryReport(
            name=self.directory.name,
            status="unchanged",
            protocol=2,
            files_total=remembered.files,
            verified="digest" if self.rules.checksum != "never" else None,
            warnings=remembered.warnings,
            **measure.so_far(),
        )

    @contextmanager
    def _listed(self, remembered: Remembered | None = None) -> Iterator[tuple[SourceListing, TargetListing]]:
        directory = self.directory
        links: Links = "keep" if directory.links == "keep" else "skip"
        request = ListFiles(directory=directory.name, folder=directory.prefix, links=directory.links)
        with list_both(self.client, request, self.storage, self.selection, links, remembered) as listings:
            yield listings

    def _find_work(self, source: SourceListing, target: TargetListing, work: Work) -> Settling:
        self.rules = msgspec.structs.replace(self.rules, directories=self.rules.directories and source.knows_directories)
        ignored = ignored_actions(self.directory, self.storage)
        known = partial(self.root.known, whole=True)
        find_work(source, target, known, self.rules, work, ignored=ignored)
        request = DigestFiles(directory=self.directory.name, folder=self.directory.prefix, links=self.directory.links, paths=())
        settling = Settling(self.client, request, self.storage, self.rules, self.root.record)
        settling.run(work)
        self.problems = {**source.unreadable, **target.unreadable, **settling.unreadable, **source.impossible}
        self._gone |= settling.gone
        return settling

    def _check(self, source: SourceListing, target: TargetListing, work: Work) -> None:
        """Refuse what the options and the limits do not allow, before anything is written.

        :raises GuardError: naming the option that allows it
        :raises FileError: for names that cannot exist at the target
        """
        if source.impossible and not self.directory.skip_unreadable:
            raise FileError(
                f"{some_of(source.impossible)} of directory {self.directory.name!r} cannot exist at the target, so nothing was"
                f" written. {reasons(source.impossible)} To go on without such files, set skip_unreadable."
            )
        limits = self.client.limits
        if work.bytes > limits.max_directory_bytes:
            raise too_large(limits.max_directory_bytes, "limits.max_directory_bytes", what=f"Directory {self.directory.name!r}")
        if work.largest is not None and work.largest.size > limits.max_file_bytes:
            raise too_large(limits.max_file_bytes, "limits.max_file_bytes", what=f"{work.largest.path!r}")
        self._check_deletes(source, target, work)

    def _check_deletes(self, source: SourceListing, target: TargetListing, work: Work, *, missing: int = 0) -> None:
        """Refuse to delete more than the options allow.

        :param missing: files of the source that could not be fetched
        :raises GuardError: naming the option that allows it
        """
        if self._may_delete():
            offered = max(0, source.files - missing)
            check_deletes(self.directory, deletes=len(work.removed), present=target.files, offered=offered, unit="files")

    def _may_delete(self) -> bool:
        """Whether what the source lacks may go: not after an error."""
        stuck = bool(self._restless) and not self.written.files
        return self.directory.delete and not stuck and (self.directory.skip_unreadable or not self.problems)

    def _apply(self, source: SourceListing, target: TargetListing, work: Work, lists: ExitStack) -> Iterable[TreeEntry]:
        directory = self.directory
        obstacles = work.obstacles if self._may_delete() else set()
        backup = Backup(directory.backup, directory.backup_days) if directory.backup is not None else None
        self.written.total_files = len(work.files) + len(work.links)
        self.written.total_bytes = work.bytes
        request = ReadFiles(directory=directory.name, folder=directory.prefix, links=directory.links, files=())
        again = DigestFiles(directory=directory.name, folder=directory.prefix, links=directory.links, paths=())
        failed: dict[str, SyncError] = {}
        storage = self.storage
        with ExitStack() as stack:
            if directory.atomic:
                storage = stack.enter_context(storage.atomic_copy(durable=directory.durable, digests=self.root))
            writer = stack.enter_context(
                storage.writer(
                    durable=directory.durable, may_replace=obstacles.__contains__, backup=backup, on_failure=failed.__setitem__
                )
            )
            fetching = Fetching(
                self.client,
                request,
                self.storage,
                self.root,
                writer,
                self.rules,
                self.written,
                failed=failed,
                downloads=directory.downloads,
            )
            copies = LocalCopies(
                self.client,
                again,
                self.root,
                writer,
                self.rules,
                self.written,
                moves=self._may_delete(),
                checks_versions=not directory.atomic,
            )
            applying = Applying(work, writer, fetching, copies, self.written, self.rules)
            lists.callback(applying.deleted.close)
            try:
                applying.write(self.client, again, target.large_sizes)
                self._note(applying, fetching, copies)
                if directory.atomic:
                    self._refuse()
                # A source of which nothing can be read is not to be taken for an empty one.
                self._check_deletes(source, target, work, missing=len(self.problems) + len(self._gone))
                if self._may_delete():
                    applying.delete()
            finally:
                self._note(applying, fetching, copies)
        self._deleted = applying.deleted_files
        return applying.deleted

    def _note(self, applying: Applying, fetching: Fetching, copies: LocalCopies) -> None:
        self.moved = copies.made
        self.touched, self._made = applying.touched, applying.made
        self._restless = applying.restless
        self._gone |= fetching.gone
        self.problems.update(fetching.unreadable)
        self.problems.update({path: str(error) for path, error in fetching.failed.items()})

    def _refuse(self) -> None:
        """Raise the errors of files that this sync could not deal with.

        :raises FileError: naming the files that could not be synced, unless they may be skipped
        :raises FileChangedError: when nothing came but files that never stand still
        """
        if self.problems and not self.directory.skip_unreadable:
            raise not_synced(self.problems, self.directory.name)
        if self._restless and not self.written.files:
            raise never_at_rest(self._restless[0], self.directory.name)

    def _is_proven(self, settling: Settling) -> bool:
        """Whether all files of the target have the digests of the source's."""
        return settling.has_digests and self.rules.checksum != "never" and not (self.problems or self._restless or self._gone)

    def _remember(
        self, source: SourceListing, target: TargetListing, work: Work, deleted: Iterable[TreeEntry], warnings: tuple[str, ...]
    ) -> None:
        """Remember that nothing is left to do, if that is so."""
        if source.state is None or self.problems or self._restless or self._gone:
            return
        state = target.state
        if work or deleted:
            made = (TreeEntry(step.path, "directory") for step in work.directories)
            after = entries_after(target.entries, deleted=deleted, made=made, written=self.written.entries)
            state = None if target.state is None else state_of(after)
        if state is not None:
            remember(self.root, self.key, Remembered(source.state, state, source.files, warnings))

    def _warnings(self, source: SourceListing, settling: Settling) -> tuple[str, ...]:
        """Return what the user should know although the sync succeeded."""
        warnings = []
        if not settling.has_digests:
            warnings.append("The source takes no digests, so files of equal size and time count as equal.")
        if source.clashes.first is not None:
            warnings.append(clashing(*source.clashes.first))
        if source.links_skipped:
            links = "symbolic link of the source was" if source.links_skipped == 1 else "symbolic links of the source were"
            warnings.append(f"{source.links_skipped} {links} left out; to sync them, set links to keep or follow.")
        if self.problems:
            warnings.append(skipped(self.problems))
        if self._restless:
            warnings.append(restless(self._restless))
        if self._gone:
            warnings.append(gone(self._gone))
        return tuple(warnings)
