"""Which files of the target are gone because something was written in their place, as steps have to count them.

One task finds them when it deletes what the source lacks. In steps, they are gone by then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.paths import parents


def gave_way(storage: Storage, obstacles: Collection[str], written: Iterable[str]) -> set[str]:
    """Return the files that are gone: those that became directories, and those in directories that became files.

    :param storage: the target; in object stores nothing is in the way of anything
    :param obstacles: paths of files that may go where they are in the way
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
