"""Sync one directory by version 2: list both sides, digest undecided files, fetch files that differ, delete last.

If a file fails, the others are still synced, but nothing is deleted, unless the options allow skipping such files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.noted_files import NotedFiles
from airflow_provider_sync.sync.directories.outcome import Outcome
from airflow_provider_sync.sync.directories.target_lock import locked
from airflow_provider_sync.sync.directories.version2.compare import Work, find_work, list_both
from airflow_provider_sync.sync.directories.version2.emptied import emptied_directories
from airflow_provider_sync.sync.directories.version2.fetch import Fetching
from airflow_provider_sync.sync.directories.version2.hard_links import HardLinks
from airflow_provider_sync.sync.directories.version2.listings import SourceListing, TargetListing, state_of
from airflow_provider_sync.sync.directories.version2.local_copies import LocalCopies
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.directories.version2.preflight import check_deletes_of, check_work
from airflow_provider_sync.sync.directories.version2.remembered import (
    Remembered,
    entries_after,
    recall,
    remember,
    state_key,
    with_parents,
)
from airflow_provider_sync.sync.directories.version2.selection import ignored_actions, rules_for, scope_of, selection_of
from airflow_provider_sync.sync.directories.version2.settle import Settling
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory
from airflow_provider_sync.sync.directories.version2.work_writer import WorkWriter
from airflow_provider_sync.sync.directories.version2.write_log import WriteLog
from airflow_provider_sync.sync.traffic import Measure


@dataclass(frozen=True, slots=True)
class Compared:
    """The result of comparing both sides.

    :ivar remembered: the record of the last complete sync, if neither side changed since, so that there is no work; else ``None``
    """

    source: SourceListing
    target: TargetListing
    work: Work
    remembered: Remembered | None = None


class DirectorySync:
    """One sync of one directory.

    :ivar outcome: the results and failures so far
    """

    def __init__(self, pair: DirectoryPair) -> None:
        self.directory = directory = pair.directory
        self.storage = storage = pair.storage
        self.source = SourceDirectory(pair.client, directory.name, directory.prefix, directory.links)
        self.rules = rules_for(directory, storage)
        self.selection = selection_of(directory, storage)
        self.root = pair.cache.root(storage.location, scope=scope_of(directory))
        self.key = state_key(pair.client.url, directory, self.rules)
        self.written = WriteLog(directory.name, pair.progress, self.root)
        self.outcome = Outcome(directory, lambda: self.written.files)

    def done(self) -> dict[str, Any]:
        """Return the results so far, as fields of a report."""
        return {
            "protocol": 2,
            "files_added": self.written.added,
            "files_updated": self.written.updated,
            "files_deleted": self.outcome.deleted,
            "files_touched": self.outcome.touched,
            "files_moved": self.outcome.moved,
            "bytes_written": self.written.bytes,
        }

    @property
    def is_proven(self) -> bool:
        """Whether all files of the target have the digests of the source's."""
        return self.rules.checksum != "never" and self.outcome.is_proven

    def differs(self) -> bool:
        """Tell whether anything but times and permissions differs; nothing is written."""
        with self.compared() as compared:
            self.remember(compared, wrote=False)
            return compared.work.differs or bool(emptied_directories(compared.work, self.storage))

    def run(self, measure: Measure, dry_run: bool, lock_timeout: float) -> DirectoryReport:
        """Compare, fetch, delete, and report.

        :raises FileError: naming the files that could not be synced, after everything else was
        """
        with locked(self.storage, lock_timeout, dry_run=dry_run), self.compared() as compared:
            if compared.remembered is None:
                self.check(compared)
                if not dry_run:
                    self.storage.clean(0)
                    self.write(compared)
                self.outcome.refuse(wrote=not dry_run)
                self.remember(compared, wrote=not dry_run)
            return self.report(compared, measure, dry_run)

    @contextmanager
    def compared(self, *, is_wanted: Callable[[Step], bool] | None = None, settles: bool = True) -> Iterator[Compared]:
        """Compare both sides, and yield the result with the work to do.

        :param is_wanted: selects the steps; all by default
        :param settles: whether to digest undecided files to find out if they differ
        """
        directory = self.directory
        remembered = recall(self.root, self.key) if self.rules.checksum != "always" and is_wanted is None else None
        with ExitStack() as lists:
            lists.callback(self.written.close)
            work = lists.enter_context(Work())
            source, target = lists.enter_context(list_both(self.source, self.storage, self.selection, remembered))
            if source.unchanged:
                yield Compared(source, target, work, remembered)
                return
            self.rules = msgspec.structs.replace(self.rules, directories=self.rules.directories and source.knows_directories)
            ignored = ignored_actions(directory, self.storage)
            known = partial(self.root.known, whole=True)
            find_work(source, target, known, self.rules, work, ignored=ignored, is_wanted=is_wanted)
            self._note_unlisted(source, target)
            if settles:
                settling = Settling(self.source, self.storage, self.rules, self.root.record)
                settling.run(work)
                self._note_settled(settling)
            yield Compared(source, target, work)

    def _note_unlisted(self, source: SourceListing, target: TargetListing) -> None:
        listed = {**source.unreadable, **target.unreadable, **source.impossible}
        self.outcome.unlisted = NotedFiles(listed, source.more_impossible)

    def _note_settled(self, settling: Settling) -> None:
        self.outcome.unlisted.add_noted(settling.unreadable)
        self.outcome.gone.add_noted(settling.gone)
        self.outcome.files_read, self.outcome.has_digests = settling.files_read, settling.has_digests

    def check(self, compared: Compared) -> None:
        """Refuse work that the options or the limits do not allow, before anything is written.

        :raises GuardError: naming the option that allows it
        :raises FileError: for names that cannot exist at the target
        """
        check_work(self.directory, self.source.client.limits, compared.source, compared.work)
        self.check_deletes(compared)

    def check_deletes(self, compared: Compared, *, missing: int = 0, earlier: int = 0) -> None:
        """Refuse to delete more than the options allow; see :func:`.preflight.check_deletes_of`."""
        if self.outcome.may_delete:
            check_deletes_of(self.directory, compared.source, compared.target, compared.work, missing=missing, earlier=earlier)

    def write(self, compared: Compared, *, files: bool = True, deletes: bool = True, ends: bool = False) -> None:
        """Do the work.

        :param files: whether to write files and directories
        :param deletes: whether to delete files and directories that the source lacks
        :param ends: whether other tasks have written, so that directory times must be set even if there is no work left
        :raises SyncError: for errors that concern no single file
        """
        if not (compared.work.is_possible or ends):
            return
        compared.source.clashes.refuse_on(self.storage)
        directory, work, outcome = self.directory, compared.work, self.outcome
        self.written.total_files = len(work.files) + len(work.links)
        self.written.total_bytes = work.bytes
        obstacles = work.obstacles if outcome.may_delete else set()
        with ExitStack() as stack:
            storage = self.storage
            if directory.atomic:
                storage = stack.enter_context(storage.atomic_copy(durable=directory.durable, digests=self.root))
            tree_writer = stack.enter_context(
                storage.writer(
                    durable=directory.durable,
                    may_replace=obstacles.__contains__,
                    backup=Backup(directory.backup, directory.backup_days) if directory.backup is not None else None,
                    on_failure=outcome.note_undone,
                )
            )
            target = OpenTarget(self.storage, self.root, tree_writer, self.written, outcome, self.rules)
            hard_links = stack.enter_context(HardLinks(work.hard_linked, self.written))
            moves, checks_versions = deletes and outcome.may_delete, not directory.atomic
            copies = LocalCopies(self.source, target, hard_links, moves=moves, checks_versions=checks_versions)
            fetching = Fetching(self.source, target, downloads=directory.downloads)
            writer = WorkWriter(work, self.source, target, fetching, copies)
            if files:
                writer.write(compared.target.large_sizes)
            if deletes:
                if directory.atomic:
                    outcome.refuse_mixture()
                # A source of which no file can be read must not count as empty.
                self.check_deletes(compared, missing=len(outcome.failed) + len(outcome.gone))
                if outcome.may_delete:
                    writer.delete()
                if self.rules.mtime:
                    writer.date_directories(compared.source.directories)

    def remember(self, compared: Compared, *, wrote: bool) -> None:
        """Remember the states of both sides if the sync left nothing to do.

        :param wrote: whether the work was done; if so, directories that could not be removed are expected to stay
        """
        source, target, work, outcome = compared.source, compared.target, compared.work, self.outcome
        if compared.remembered is not None or source.state is None or target.state is None or not outcome.is_complete:
            return
        did_something = outcome.changed or bool(outcome.unkept)
        if (work and not did_something) or (work.is_possible and not wrote):
            return
        state: str | None = target.state
        if did_something:
            made = (TreeEntry(step.path, "directory") for step in work.directories)
            state = state_of(self._entries_after(target.entries, made))
        if state is not None:
            remember(self.root, self.key, Remembered(source.state, state, source.files, self.warnings(source)))

    def _entries_after(self, before: Iterable[TreeEntry], made: Iterable[TreeEntry]) -> Iterator[TreeEntry]:
        written: Iterable[TreeEntry] = self.written.entries
        # Object stores have no directories.
        written = written if self.storage.is_remote else with_parents(written)
        return entries_after(before, deleted=self.written.deleted, made=made, written=written)

    def report(self, compared: Compared, measure: Measure, dry_run: bool) -> DirectoryReport:
        """Return the report of the work that was done, or would be done in a run."""
        work, outcome, remembered = compared.work, self.outcome, compared.remembered
        planned = dry_run and (bool(work) or bool(emptied_directories(work, self.storage)))
        counts = self.done()
        if planned:
            counts |= {"files_added": work.added, "files_updated": work.updated, "files_deleted": len(work.removed)}
            counts |= {"files_touched": work.touched_files}
        return DirectoryReport(
            name=self.directory.name,
            status="planned" if planned else "changed" if outcome.changed else "unchanged",
            files_total=compared.source.files if remembered is None else remembered.files,
            files_read=outcome.files_read,
            verified="digest" if self.is_proven and not planned else None,
            warnings=self.warnings(compared.source) if remembered is None else remembered.warnings,
            **counts,
            **measure.so_far(),
        )

    def warnings(self, source: SourceListing) -> tuple[str, ...]:
        """Return the warnings of a successful sync."""
        lost = self.directory.permissions and not self.storage.keeps_permissions
        return self.outcome.warnings(
            no_digests="The source takes no digests, so files of equal size and time count as equal.",
            selects_nothing=bool(source.files_left_out) and not source.files,
            clash=source.clashes.first,
            lost_permissions=self.storage.location if lost else None,
            links_skipped=source.links_skipped,
        )
