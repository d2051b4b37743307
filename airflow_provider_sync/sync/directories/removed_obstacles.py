"""Find the files of the target that are gone because something of another kind was written in their place.

A sync in one go counts them when it deletes what the source lacks. In steps, an earlier task has removed them by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.paths import parents


def removed_obstacles(storage: Storage, obstacles: Collection[str], written: Iterable[str]) -> set[str]:
    """Return the obstacles that are gone: files that became directories, and files in directories that became files.

    :param storage: the target; in object stores nothing is in the way of anything
    :param obstacles: paths of files that may be removed where they are in the way
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
