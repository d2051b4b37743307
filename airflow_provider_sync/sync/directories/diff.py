"""Find the paths that a sync of one directory would change, with the reason and both sizes."""

from __future__ import annotations

from heapq import merge
from itertools import islice
from typing import Literal

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.pipeline import sync_directory
from airflow_provider_sync.sync.directories.version2.emptied import emptied_directories
from airflow_provider_sync.sync.directories.version2.pipeline import DirectorySync
from airflow_provider_sync.sync.directories.version2.plan import Action, Reason, Step
from airflow_provider_sync.sync.guards import unguarded
from airflow_provider_sync.sync.time_limit import within_max_seconds
from airflow_provider_sync.sync.traffic import Measure

MAX_REPORTED_PATHS = 1_000
"""Maximum number of paths that a comparison lists."""

Change = Literal["add", "update", "set metadata", "delete"]

_CHANGES: dict[Action, Change] = {
    "added": "add",
    "make_link": "add",
    "make_directory": "add",
    "changed": "update",
    "touched": "set metadata",
    "removed": "delete",
    "remove_directory": "delete",
}


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One path in which source and target differ.

    :ivar kind: ``file``, ``directory`` or ``link``: what the source has, or the target if the source has nothing
    :ivar reason: ``size``, ``content``, ``time`` (or permissions), ``kind``, ``new`` or ``gone``
    :ivar source_size: bytes of the source's file; ``None`` if it has none
    :ivar target_size: bytes of the target's file; ``None`` if it has none
    """

    path: str
    change: Change
    kind: str
    reason: Reason
    source_size: int | None
    target_size: int | None


class DirectoryDiff(msgspec.Struct, frozen=True, kw_only=True):
    """The differences of one directory.

    :ivar report: the report, with their numbers
    :ivar changes: the first of them, in the order of paths; none with version 1, which knows no sizes
    :ivar paths_omitted: number of other paths that differ
    """

    report: DirectoryReport
    changes: tuple[FileChange, ...] = ()
    paths_omitted: int = 0


@within_max_seconds
def diff_directory(
    client: SyncClient,
    directory: TargetDirectory,
    storage: Storage,
    *,
    max_paths: int = MAX_REPORTED_PATHS,
    cache: DigestCache | None = None,
) -> DirectoryDiff:
    """Find the paths in which source and target differ, including those that a guard would not allow to delete.

    Nothing is written.

    :param max_paths: maximum number of paths to list
    :param cache: remembers digests of the target's files, and the states of both sides
    :raises SyncError: if source and target cannot be compared
    """
    directory = unguarded(directory)
    pair = DirectoryPair.of(client, directory, storage, cache=cache)
    if pair.version() == 1:
        report = sync_directory(client, directory, storage, dry_run=True, cache=cache)
        return DirectoryDiff(report=report, paths_omitted=report.files_added + report.files_updated + report.files_deleted)
    measure = Measure(client)
    sync = DirectorySync(pair)
    with sync.compared() as compared:
        if compared.remembered is None:
            sync.check(compared)
            sync.outcome.refuse(wrote=False)
            sync.remember(compared, wrote=False)
        work = compared.work
        emptied = sorted(emptied_directories(work, storage), key=lambda step: path_order(step.path))
        lists = (work.files, work.touched, work.links, work.directories, work.removed, emptied)
        steps = merge(*lists, key=lambda step: path_order(step.path))
        changes = tuple(map(_change, islice(steps, max_paths)))
        report = sync.report(compared, measure, dry_run=True)
        return DirectoryDiff(report=report, changes=changes, paths_omitted=sum(len(each) for each in lists) - len(changes))


def _change(step: Step) -> FileChange:
    entry, present = step.source, step.target
    change = _CHANGES[step.action]
    if change == "add" and entry is not None and present is not None and entry.kind == present.kind:
        change = "update"
    shown = entry if entry is not None else present
    return FileChange(
        path=step.path,
        change=change,
        kind="" if shown is None else shown.kind,
        reason=step.reason,
        source_size=entry.size if entry is not None and entry.kind == "file" else None,
        target_size=present.size if present is not None and present.kind == "file" else None,
    )
