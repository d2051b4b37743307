"""The steps of one directory by version 1; see :mod:`airflow_provider_sync.sync.directories.steps`.

A batch is a range of the sorted paths. Each download requests the manifest again, so a retry keeps what the failed attempt has
done.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

import msgspec

from airflow_provider_sync.files import NoneHasher, PathFilter, build_manifest, compare
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.batch_guard import check_batch, guarded_batches, removed_obstacles
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.file_batch import ComparedDirectory, FileBatch, report_of_batches
from airflow_provider_sync.sync.directories.version1.pipeline import DirectorySync
from airflow_provider_sync.sync.guards import check_deletes
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT
from airflow_provider_sync.sync.traffic import Measure

TASK_FILES = 100
"""Minimum number of files to download for a separate task."""


def compare_directory(pair: DirectoryPair, *, batches: int) -> ComparedDirectory:
    """Compare a directory with the source, and divide the files to download into batches.

    :param batches: maximum number of batches; fewer if few files differ
    :raises GuardError: if more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, if there is nothing else to do
    """
    measure = Measure(pair.client)
    sync = DirectorySync(pair)
    source = sync.source_manifest()
    changes = sync.compare(source)
    sync.check(source, changes)
    if not changes:
        sync.outcome.refuse(wrote=False)
    else:
        sync.check_names(source)
    report = DirectoryReport(
        name=pair.directory.name,
        status="planned" if changes else "unchanged",
        files_total=len(source),
        files_read=sync.outcome.files_read,
        verified="hash" if not changes and sync.outcome.is_proven else None,
        warnings=sync.warnings(source),
        **measure.so_far(),
    )
    if not changes:
        return ComparedDirectory(report=report)
    wanted = sorted([*changes.added, *changes.changed])
    size = max(TASK_FILES, -(-len(wanted) // batches))
    pieces = [wanted[start : start + size] for start in range(0, len(wanted), size)]
    deletes = sync.outcome.may_delete
    found = guarded_batches(
        pair.directory,
        pair.storage,
        [FileBatch(directory=pair.directory.name, first=paths[0], last=paths[-1], files=len(paths)) for paths in pieces],
        changes.obstacles if deletes else (),
        lambda batch: wanted[bisect_left(wanted, batch.first) : bisect_right(wanted, batch.last)],
        deletes=len(changes.removed) if deletes else 0,
        present=sync.present(changes),
    ) or [FileBatch(directory=pair.directory.name)]
    # The first batch carries the costs of the comparison to the next step.
    return ComparedDirectory(report=report, batches=(msgspec.structs.replace(found[0], **measure.so_far()), *found[1:]))


def download_batch(pair: DirectoryPair, batch: FileBatch, *, dry_run: bool) -> FileBatch:
    """Download the files of a batch that still differ.

    :param dry_run: count the files, and write nothing
    :return: the batch, with the results and the costs until now
    :raises GuardError: if more files in the way would be removed, or more bytes received, than the options allow
    :raises FileError: for files that cannot be synced, after all others were, unless they may be skipped
    :raises FileChangedError: if no file was synced because all of them kept changing
    """
    if not batch.files:
        return batch
    measure = Measure(pair.client, earlier=[batch.traffic()])
    everything = PathFilter(pair.directory.include, pair.directory.exclude)
    in_batch = PathFilter(pair.directory.include, pair.directory.exclude, first=batch.first, last=batch.last)
    sync = DirectorySync(pair, in_batch)
    source = sync.source_manifest()
    changes = sync.compare(source)
    deleted: set[str] = set()
    if not dry_run:
        # A file in the way may be outside the batch's range.
        present = build_manifest(pair.storage, NoneHasher(), everything, missing_ok=True, on_unreadable=lambda *_: None)
        obstacles = compare(source, present).obstacles if sync.outcome.may_delete else frozenset()
        # The source's files may have changed since the comparison.
        check_deletes(pair.directory, deletes=len(obstacles), present=len(present), offered=len(source), unit="files")
        check_batch(pair.storage, batch, obstacles, changes.added)
        sync.download(source, [*changes.added, *changes.changed], obstacles)
        deleted = removed_obstacles(pair.storage, obstacles, sync.downloads.written)
        sync.outcome.refuse_failed()
    return msgspec.structs.replace(
        batch,
        added=len(changes.added) if dry_run else sync.added,
        updated=len(changes.changed) if dry_run else sync.updated,
        deleted=len(deleted),
        bytes_written=sync.downloads.bytes_written,
        warnings=sync.outcome.warnings_of_writes(),
        proven=not (sync.outcome.failed or sync.outcome.unstable or sync.outcome.gone),
        **measure.so_far(),
    )


def delete_files(pair: DirectoryPair, batches: Sequence[FileBatch], *, dry_run: bool) -> DirectoryReport:
    """Delete files that the source lacks, after all downloads.

    :param batches: the results of all downloads
    :param dry_run: report what would be deleted, and delete nothing
    :return: the report of all steps together
    :raises GuardError: if more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, unless they may be skipped; nothing is deleted then, except that a file
        that cannot be deleted does not keep the others
    """
    measure = Measure(pair.client, earlier=[batch.traffic() for batch in batches])
    sync = DirectorySync(pair)
    source = sync.source_manifest()
    changes = sync.compare_names(source)
    sync.check(source, changes, earlier=sum(batch.deleted for batch in batches))
    sync.outcome.refuse(wrote=not dry_run)
    if not dry_run:
        with pair.storage.exclusive(LOCK_TIMEOUT):
            # All downloads have ended, so any unfinished file is of an attempt that was killed.
            pair.storage.clean(0)
            sync.delete(changes.removed)
        sync.outcome.refuse_failed()
    report = DirectoryReport(
        name=pair.directory.name,
        status="unchanged",
        files_total=len(source),
        verified="hash" if sync.outcome.is_proven else None,
        warnings=sync.warnings(source),
        **measure.so_far(),
    )
    deleted, came = len(changes.removed) if dry_run else sync.outcome.deleted, len(changes.added)
    return report_of_batches(report, batches, deleted=deleted, changed=False, came=came, dry_run=dry_run)
