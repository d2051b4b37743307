"""Find the directories that deletions will leave empty, so that a dry run can name them."""

from __future__ import annotations

from collections import Counter

from airflow_provider_sync.files import Storage
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.plan import Step


def emptied_directories(work: Work, storage: Storage) -> list[Step]:
    """Return the directories that the work will remove; others contain files that stay, such as excluded ones.

    The directories are read, since the listing leaves out excluded files. Mount points stay. Memory grows with the number of
    directories to remove.

    :raises FileError: for a directory that cannot be read
    """
    if not len(work.emptied):
        return []
    going = Counter({step.path: 0 for step in work.emptied})
    for step in work.removed:
        parent = step.path.rpartition("/")[0]
        if parent in going:
            going[parent] += 1
    found = []
    # Children come before their parents.
    for step in work.emptied:
        if storage.count_names(step.path) <= going[step.path] and not storage.is_mount_point(step.path):
            found.append(step)
            parent = step.path.rpartition("/")[0]
            if parent in going:
                going[parent] += 1
    return found
