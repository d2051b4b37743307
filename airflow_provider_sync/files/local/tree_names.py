"""Detect whether files of a tree were added, removed or replaced since it was copied.

A write to a file is no difference, since the copy has a hard link to the same file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress

from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse
from airflow_provider_sync.files.paths import is_resumable, is_temporary

_DIGEST_BYTES = 16


class TreeNames:
    """A digest of the names in one tree, and of which files and directories they are."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)

    def add(self, path: str, inode: int) -> None:
        """Take the next name, in the order of :func:`names_below`; temporary names of syncs do not count."""
        if not is_temporary(path):
            self._digest.update(f"{inode} {len(path)} {path}".encode("utf-8", "surrogateescape"))

    def result(self) -> bytes:
        """Return the digest."""
        return self._digest.digest()


def names_in(root: int) -> bytes:
    """Return the digest of the tree below a directory that is open.

    :raises OSError: when a part of it cannot be read
    """
    names = TreeNames()
    directories = OpenDirectories(root, refuse, durable=False)
    try:
        for path, _ in names_below(directories):
            above, _, name = path.rpartition("/")
            with suppress(FileNotFoundError), directories.using(above) as directory:
                names.add(path, os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino)
    finally:
        directories.close()
    return names.result()


def names_below(directories: OpenDirectories) -> Iterator[tuple[str, bool]]:
    """Yield the paths below a root in their order, and whether they are directories; those before what they hold."""
    waiting: list[Iterator[tuple[str, bool]]] = [iter(_names_in(directories, ""))]
    while waiting:
        found = next(waiting[-1], None)
        if found is None:
            waiting.pop()
            continue
        yield found
        if found[1]:
            waiting.append(iter(_names_in(directories, found[0])))


def _names_in(directories: OpenDirectories, path: str) -> list[tuple[str, bool]]:
    above = f"{path}/" if path else ""
    try:
        with directories.using(path) as directory, os.scandir(directory) as entries:
            return sorted(
                (above + entry.name, entry.is_dir(follow_symlinks=False))
                for entry in entries
                if not is_temporary(entry.name) or is_resumable(entry.name)
            )
    except FileNotFoundError:
        return []
