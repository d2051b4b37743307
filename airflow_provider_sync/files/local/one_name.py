"""Find out by a trial whether a file system considers two names equal."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from airflow_provider_sync.files.local.confined import descend, root_directory
from airflow_provider_sync.files.local.open_flags import DIRECTORY
from airflow_provider_sync.files.local.tree_removal import remove_tree
from airflow_provider_sync.files.paths import temporary_name


def is_one_name(root: Path, path: str, other: str) -> bool:
    """Whether a file at ``path`` is found under the name of ``other``, too: two paths below ``root`` in the same directory.

    This is tried in a temporary directory inside theirs, or in the nearest one above: some file systems decide by directory.

    :raises OSError: when nothing can be written there
    """
    *above, name = path.split("/")
    while not root.is_dir() and root != root.parent:
        above = []
        root = root.parent
    with root_directory(root) as descriptor:
        directory, _ = descend(descriptor, above)
        try:
            return _are_one(directory, name, other.rpartition("/")[2])
        finally:
            os.close(directory)


def _are_one(directory: int, name: str, other: str) -> bool:
    temporary = temporary_name()
    os.mkdir(temporary, dir_fd=directory)
    try:
        place = os.open(temporary, DIRECTORY, dir_fd=directory)
        try:
            # A name that the file system refuses is reported when it is written.
            with suppress(OSError):
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, dir_fd=place))
                os.stat(other, dir_fd=place, follow_symlinks=False)
                return True
            return False
        finally:
            os.close(place)
    finally:
        remove_tree(directory, temporary)
