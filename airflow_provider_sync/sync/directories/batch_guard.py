"""Limit the target files that download steps may remove because they are in the way; each step sees only its own batch."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import pairwise

import msgspec

from airflow_provider_sync.config import DeleteLimit, TargetDirectory
from airflow_provider_sync.exceptions import GuardError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.paths import parents
from airflow_provider_sync.sync.directories.file_batch import FileBatch


def guarded_batches(
    directory: TargetDirectory,
    storage: Storage,
    batches: Sequence[FileBatch],
    obstacles: Collection[str],
    paths_of: Callable[[FileBatch], Iterable[str]],
    *,
    deletes: int,
    present: int,
) -> list[FileBatch]:
    """Set the number of files that each batch may remove: those that are in its way now, and its share of the rest of the limit.

    A directory that replaces a file is in one batch, so that the file counts once.

    :param obstacles: files of the target that may be removed if they are in the way
    :param paths_of: returns the paths to write in a batch
    :param deletes: files that the whole sync would delete, obstacles included
    :param present: files that the target has
    """
    joined = list(batches[:1])
    for before, batch in pairwise(batches):
        if any(place in obstacles and f"{before.last}/".startswith(f"{place}/") for place in parents(batch.first)):
            size = {"last": batch.last, "files": joined[-1].files + batch.files, "bytes": joined[-1].bytes + batch.bytes}
            joined[-1] = msgspec.structs.replace(joined[-1], **size)
        else:
            joined.append(batch)
    spare = max(0, DeleteLimit.parse(directory.max_deletes).most(of=present) - deletes) // max(1, len(joined))
    return [
        msgspec.structs.replace(batch, max_deletes=spare + len(removed_obstacles(storage, obstacles, paths_of(batch))))
        for batch in joined
    ]


def check_batch(storage: Storage, batch: FileBatch, obstacles: Collection[str], paths: Iterable[str]) -> None:
    """Refuse a batch that would remove more files in its way than it may delete.

    :param obstacles: files of the target that may be removed if they are in the way
    :param paths: paths to write
    :raises GuardError: naming the option
    """
    deletes = len(removed_obstacles(storage, obstacles, paths))
    if batch.max_deletes is not None and deletes > batch.max_deletes:
        raise GuardError(
            f"{deletes} files of directory {batch.directory!r} would give way to others in this step, and max_deletes leaves it"
            f" {batch.max_deletes}: the source has changed since it was compared. If that is right, compare it again."
        )


def removed_obstacles(storage: Storage, obstacles: Collection[str], written: Iterable[str]) -> set[str]:
    """Return the obstacles that were removed: files that became directories, and files in directories that became files.

    A sync in one task counts them when it deletes. In steps, an earlier task has removed them by then.

    :param storage: the target; in object stores no file is in the way of another
    :param obstacles: paths of files that may be removed if they are in the way
    :param written: paths of files, links and directories that were written
    """
    gone: set[str] = set()
    if storage.is_remote or not obstacles:
        return gone
    directories = {above for path in obstacles for above in parents(path)}
    replaced = set()
    for path in written:
        gone.update(place for place in (path, *parents(path)) if place in obstacles)
        if path in directories:
            replaced.add(path)
    gone.update(path for path in obstacles if not replaced.isdisjoint(parents(path)))
    return gone
