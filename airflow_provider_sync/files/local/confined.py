"""Open directories below a root, one component at a time and never through a symbolic link.

Each step is an ``openat`` with ``O_NOFOLLOW`` relative to the directory before it: no process can lead out of it by replacing
a directory with a link between two steps. A check of the resolved path, as web frameworks do it, leaves that gap.
The root itself is configured by the administrator, and may be a link.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from airflow_provider_sync.files.local.open_flags import DIRECTORY, ROOT

# Error numbers for a component that is missing, or is a file or a link instead of a directory.
NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)


@contextmanager
def root_directory(root: Path, *, create: bool = False) -> Iterator[int]:
    """Open the root for a ``with`` block, and yield its descriptor."""
    if create:
        root.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(root, ROOT)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_directory(root: int, components: Sequence[str]) -> int:
    """Open a directory below ``root``; the caller closes the descriptor.

    :raises OSError: with one of :data:`NOT_THERE` where a component is missing, a file, or a link
    """
    descriptor, depth = descend(root, components)
    if depth == len(components):
        return descriptor
    try:
        # Opened once more to get its error.
        os.close(os.open(components[depth], DIRECTORY, dir_fd=descriptor))
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    finally:
        os.close(descriptor)


def descend(root: int, components: Sequence[str]) -> tuple[int, int]:
    """Open the deepest directory that exists along ``components``; the caller closes the descriptor.

    :returns: its descriptor, and how many of ``components`` lead to it
    """
    current = os.dup(root)
    for depth, name in enumerate(components):
        try:
            below = os.open(name, DIRECTORY, dir_fd=current)
        except OSError as error:
            if error.errno in NOT_THERE:
                return current, depth
            os.close(current)
            raise
        os.close(current)
        current = below
    return current, len(components)


def walk(
    root: int,
    enters: Callable[[str], bool],
    *,
    start: str = "",
    on_unreadable: Callable[[str, OSError], None] | None = None,
) -> Iterator[tuple[str, int, os.DirEntry[str]]]:
    """Yield path, descriptor of the directory, and entry for everything below ``start``, directories before what they hold.

    The descriptor and the entry hold until the next step. Directories that disappear during the walk are left out.

    :param enters: whether to descend into the directory at this path
    :param on_unreadable: called for a directory below the root that cannot be read, which is then left out
    :raises OSError: with the directory as ``filename``
    """
    waiting = [start]
    last, last_path = -1, ""
    try:
        while waiting:
            directory = waiting.pop()
            above, _, name = directory.rpartition("/")
            try:
                if last >= 0 and name and above == last_path:
                    # One step from the previous directory: from the root, deep trees would take quadratic time.
                    descriptor = open_directory(last, (name,))
                else:
                    descriptor = open_directory(root, directory.split("/") if directory else ())
            except OSError as error:
                if error.errno in NOT_THERE:
                    continue
                error.filename = directory
                if on_unreadable is None or not directory:
                    raise
                on_unreadable(directory, error)
                continue
            if last >= 0:
                os.close(last)
            last, last_path = descriptor, directory
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    path = f"{directory}/{entry.name}" if directory else entry.name
                    if entry.is_dir(follow_symlinks=False) and enters(path):
                        waiting.append(path)
                    yield path, descriptor, entry
    finally:
        if last >= 0:
            os.close(last)
