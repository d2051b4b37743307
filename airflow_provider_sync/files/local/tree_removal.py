"""Remove a directory with its content at any depth, without following links."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress

from airflow_provider_sync.files.local.metadata import OWNER_BITS
from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse
from airflow_provider_sync.files.local.open_flags import DIRECTORY


def remove_tree(above: int, name: str) -> None:
    """Remove a directory, whatever permissions its owner gave it. What another process removes first is no error.

    :param above: descriptor of the directory that holds it
    :raises FileNotFoundError: when there is none
    :raises OSError: when something cannot be removed
    """
    root = os.open(name, DIRECTORY, dir_fd=above)
    directories = OpenDirectories(root, refuse, durable=False)
    try:
        waiting = [("", _names(root))]
        while waiting:
            path, names = waiting[-1]
            found = next(names, None)
            if found is None:
                waiting.pop()
                if path:
                    directories.forget(path)
                    _remove(directories, path, is_directory=True)
                continue
            below = f"{path}/{found[0]}" if path else found[0]
            if not found[1]:
                _remove(directories, below, is_directory=False)
                continue
            with suppress(FileNotFoundError), directories.using(below) as directory:
                waiting.append((below, _names(directory)))
    finally:
        directories.close()
        os.close(root)
    os.rmdir(name, dir_fd=above)


def _names(directory: int) -> Iterator[tuple[str, bool]]:
    """Return what a directory holds, and whether these are directories; and let its owner remove it."""
    mode = stat.S_IMODE(os.fstat(directory).st_mode)
    if mode & OWNER_BITS != OWNER_BITS:
        with suppress(PermissionError):  # it belongs to another user
            os.fchmod(directory, mode | OWNER_BITS)
    with os.scandir(directory) as entries:
        return iter([(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries])


def _remove(directories: OpenDirectories, path: str, *, is_directory: bool) -> None:
    above, _, name = path.rpartition("/")
    with suppress(FileNotFoundError), directories.using(above) as directory:
        os.rmdir(name, dir_fd=directory) if is_directory else os.unlink(name, dir_fd=directory)
