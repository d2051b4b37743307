"""Open the target for writing and do the work of a comparison; in a copy of the target, if it is to change in one step."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.tree_writer import Backup
from airflow_provider_sync.sync.directories.outcome import Outcome
from airflow_provider_sync.sync.directories.version2.apply import Applying
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.fetch import Fetching
from airflow_provider_sync.sync.directories.version2.hard_links import HardLinks
from airflow_provider_sync.sync.directories.version2.listings import SourceListing, TargetListing
from airflow_provider_sync.sync.directories.version2.local_copies import LocalCopies
from airflow_provider_sync.sync.directories.version2.open_target import OpenTarget
from airflow_provider_sync.sync.directories.version2.plan import Rules
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory
from airflow_provider_sync.sync.directories.version2.written_so_far import Written


class Writing:
    """The writes of one sync of one directory.

    :param root: remembers digests and chunks of the target's files
    :param written: counts what is written
    :param outcome: takes what came of it
    """

    def __init__(
        self,
        source: SourceDirectory,
        directory: TargetDirectory,
        storage: Storage,
        root: CachedRoot,
        rules: Rules,
        written: Written,
        outcome: Outcome,
    ) -> None:
        self._source = source
        self._directory = directory
        self._storage = storage
        self._root = root
        self._rules = rules
        self._written = written
        self._outcome = outcome

    def run(
        self,
        work: Work,
        source: SourceListing,
        target: TargetListing,
        *,
        files: bool,
        deletes: bool,
        before_deletes: Callable[[], None],
    ) -> None:
        """Do the work.

        :param files: whether files and directories are made
        :param deletes: whether what the source lacks is removed
        :param before_deletes: called once all else is done; raises to leave it there
        :raises SyncError: for errors that concern no single file
        """
        directory = self._directory
        self._written.total_files = len(work.files) + len(work.links)
        self._written.total_bytes = work.bytes
        obstacles = work.obstacles if self._outcome.may_delete else set()
        with ExitStack() as stack:
            storage = self._storage
            if directory.atomic:
                storage = stack.enter_context(storage.atomic_copy(durable=directory.durable, digests=self._root))
            writer = stack.enter_context(
                storage.writer(
                    durable=directory.durable,
                    may_replace=obstacles.__contains__,
                    backup=Backup(directory.backup, directory.backup_days) if directory.backup is not None else None,
                    on_failure=self._outcome.note_failed,
                )
            )
            hard_links = stack.enter_context(HardLinks(work.hard_linked, self._written))
            opened = OpenTarget(self._storage, self._root, writer, self._written, self._outcome, self._rules)
            fetching = Fetching(self._source, opened, downloads=directory.downloads)
            copies = LocalCopies(
                self._source,
                opened,
                hard_links,
                moves=deletes and self._outcome.may_delete,
                checks_versions=not directory.atomic,
            )
            applying = Applying(work, self._source, opened, fetching, copies)
            if files:
                applying.write(target.large_sizes)
            if deletes:
                before_deletes()
                if self._outcome.may_delete:
                    applying.delete()
                if self._rules.mtime:
                    applying.date_directories(source.directories)
