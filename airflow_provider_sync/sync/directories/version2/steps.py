"""The steps of one directory by version 2; see :mod:`airflow_provider_sync.sync.directories.steps`.

A batch is a range of the sorted paths. Each download lists both sides again, so a retry keeps what the failed attempt has done.
Files that size and known digests do not decide are digested again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import chain

import msgspec

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.batch_guard import check_batch, guarded_batches, removed_obstacles
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.file_batch import ComparedDirectory, FileBatch, report_of_batches
from airflow_provider_sync.sync.directories.target_lock import locked
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.pipeline import DirectorySync
from airflow_provider_sync.sync.directories.version2.plan import Step
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT
from airflow_provider_sync.sync.traffic import Measure

TASK_BYTES = 64 * 1024 * 1024
"""Minimum number of bytes to download for a separate task."""

FILE_BYTES = 256 * 1024
"""Overhead of a file besides its content, as the number of bytes that could be downloaded in that time."""


def compare_directory(pair: DirectoryPair, *, batches: int) -> ComparedDirectory:
    """Compare a directory with the source, and divide the files to download into batches by bytes.

    :param batches: maximum number of batches
    :raises GuardError: if more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, if there is nothing else to do
    """
    if pair.directory.atomic:
        raise ConfigurationError(
            f"atomic is set for directory {pair.directory.name!r}, which cannot be synced in steps then. Sync it in one task,"
            " with FileSyncOperator."
        )
    measure = Measure(pair.client)
    sync = DirectorySync(pair)
    with sync.compared() as compared:
        if compared.remembered is None:
            sync.check(compared)
            sync.remember(compared, wrote=False)
        if not compared.work.is_possible:
            sync.outcome.refuse(wrote=False)
            return ComparedDirectory(report=sync.report(compared, measure, dry_run=True))
        compared.source.clashes.refuse_on(pair.storage)
        report = sync.report(compared, measure, dry_run=True)
        work, deletes = compared.work, sync.outcome.may_delete
        found = guarded_batches(
            pair.directory,
            pair.storage,
            list(_cut(work, pair.directory.name, batches)),
            work.obstacles if deletes else (),
            lambda batch: (step.path for step in _writes(work) if _in_range(step, batch)),
            deletes=len(work.removed) if deletes else 0,
            present=compared.target.files,
        ) or [FileBatch(directory=pair.directory.name)]
    # The first batch carries the costs of the comparison to the next step.
    first = msgspec.structs.replace(found[0], files_read=report.files_read, **measure.so_far())
    return ComparedDirectory(report=report, batches=(first, *found[1:]))


def _writes(work: Work) -> Iterator[Step]:
    """Yield the steps that write, in the order of paths."""
    return merge(work.directories, work.files, work.links, work.touched, key=lambda step: path_order(step.path))


def _in_range(step: Step, batch: FileBatch) -> bool:
    return path_order(batch.first) <= path_order(step.path) <= path_order(batch.last)


def _cut(work: Work, name: str, most: int) -> Iterator[FileBatch]:
    """Divide the steps that write, in the order of paths, into ranges of about the same cost.

    :param most: maximum number of batches
    """
    lists = (work.directories, work.files, work.links, work.touched)
    enough = max(TASK_BYTES, -(-(work.bytes + FILE_BYTES * sum(map(len, lists))) // most))
    first = last = ""
    files = size = cost = 0
    for step in _writes(work):
        first, last = first or step.path, step.path
        content = step.source.size if step.action in ("added", "changed") and step.source is not None else 0
        files, size, cost = files + 1, size + content, cost + content + FILE_BYTES
        if cost >= enough:
            yield FileBatch(directory=name, first=first, last=last, files=files, bytes=size)
            first = ""
            files = size = cost = 0
    if files:
        yield FileBatch(directory=name, first=first, last=last, files=files, bytes=size)


def download_batch(pair: DirectoryPair, batch: FileBatch, *, dry_run: bool) -> FileBatch:
    """Download the files of a batch that still differ.

    :raises GuardError: if more files in the way would be removed, or more bytes received, than the options allow
    :raises FileError: for files that cannot be synced, after all others were, unless they may be skipped
    :raises FileChangedError: if no file was synced because all of them kept changing
    """
    if not batch.files:
        return batch
    measure = Measure(pair.client, earlier=[batch.traffic()])
    sync = DirectorySync(pair)
    first, last = path_order(batch.first), path_order(batch.last)

    def is_wanted(step: Step) -> bool:
        # A path to remove may be in the way of a path in the batch.
        return step.action in ("removed", "remove_directory") or first <= path_order(step.path) <= last

    with sync.compared(is_wanted=is_wanted) as compared:
        if not dry_run:
            # The source's files may have changed since the comparison.
            sync.check(compared)
            if sync.outcome.may_delete:
                check_batch(pair.storage, batch, compared.work.obstacles, (step.path for step in _writes(compared.work)))
            sync.write(compared, deletes=False)
        sync.outcome.refuse_failed()
        report = sync.report(compared, measure, dry_run)
        made = (step.path for step in compared.work.directories if step.path not in sync.outcome.failed.named)
        written = chain((entry.path for entry in sync.written.entries), made)
        deletes = pair.directory.delete and not dry_run
        deleted = removed_obstacles(pair.storage, compared.work.obstacles, written) if deletes else set()
        proven = sync.is_proven
    return msgspec.structs.replace(
        batch,
        added=report.files_added,
        updated=report.files_updated,
        touched=report.files_touched,
        moved=report.files_moved,
        deleted=len(deleted),
        made=sync.outcome.changes,
        files_read=batch.files_read + report.files_read,
        missing=len(sync.outcome.failed) + len(sync.outcome.gone),
        bytes_written=report.bytes_written,
        warnings=sync.outcome.warnings_of_writes(),
        proven=proven,
        **measure.so_far(),
    )


def delete_files(pair: DirectoryPair, batches: Sequence[FileBatch], *, dry_run: bool) -> DirectoryReport:
    """Delete files that the source lacks, after all downloads.

    :return: the report of all steps together
    :raises GuardError: if more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, unless they may be skipped; nothing is deleted then, except that a file
        that cannot be deleted does not keep the others
    """
    measure = Measure(pair.client, earlier=[batch.traffic() for batch in batches])
    sync = DirectorySync(pair)
    with locked(pair.storage, LOCK_TIMEOUT, dry_run=dry_run), sync.compared(settles=False) as compared:
        missing, earlier = sum(batch.missing for batch in batches), sum(batch.deleted for batch in batches)
        sync.check_deletes(compared, missing=missing, earlier=earlier)
        sync.outcome.refuse(wrote=not dry_run)
        if not dry_run:
            # All downloads have ended, so any unfinished file is of an attempt that was killed.
            pair.storage.clean(0)
            sync.write(compared, files=False, ends=any(batch.files for batch in batches))
            sync.outcome.refuse_failed()
        work, deleted = compared.work, len(compared.work.removed) if dry_run else sync.outcome.deleted
        if not (len(work.unsettled) or len(work.files) or len(work.links) or len(work.touched) or len(work.directories)):
            sync.remember(compared, wrote=not dry_run)
        report = sync.report(compared, measure, dry_run=False)
    came = work.added if report.verified is not None else 0
    return report_of_batches(report, batches, deleted=deleted, changed=sync.outcome.changed, came=came, dry_run=dry_run)
