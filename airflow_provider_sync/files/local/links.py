"""Follow symbolic links below a root, one component at a time, and never out of it.

The kernel is never asked to follow a link: each is read, and its target resolved from the root by steps that take no links.
Nobody can lead out of the root by replacing a directory between two steps.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence

from airflow_provider_sync.files.local.confined import open_directory
from airflow_provider_sync.files.local.open_flags import DIRECTORY
from airflow_provider_sync.files.patterns import PathFilter

# As many as the kernel follows for one path.
_MAX_LINKS = 40


class ExcludedError(FileNotFoundError):
    """A link leads to an excluded name or below one."""


def resolve(
    root: int, above: Sequence[str], path: Sequence[str], root_paths: Sequence[str], path_filter: PathFilter
) -> tuple[int, list[str], str | None]:
    """Resolve ``path``, with any links in it, from the directory ``above``.

    :param above: components of a directory below the root that is reached without links
    :param path: components from there
    :param root_paths: absolute paths of the root: absolute links below them lead inside
    :param path_filter: selects the files below the root
    :returns: a descriptor of the directory that holds what ``path`` leads to, which the caller closes; the components of that
        directory; and the name in it, which is no link, and may not exist: ``None`` if the path leads to the directory itself
    :raises ExcludedError: where the path leads to or into a directory of which everything is excluded, whether it is there or
        not, or below the name of an excluded file
    :raises OSError: ``EXDEV`` for a link out of the root, ``ELOOP`` for links in a circle or too many, or as the system says
    """
    real = list(above)
    waiting = [component for component in reversed(path) if component not in ("", ".")]
    followed = 0
    current = open_directory(root, real)
    try:
        while waiting:
            name = waiting.pop()
            if name == "..":
                if not real:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
                # Not by "..", which leads elsewhere if the directory was moved in between.
                current = _instead(current, open_directory(root, real[:-1]))
                real.pop()
            elif (target := _target(current, name)) is not None:
                followed += 1
                if followed > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    target = _below(target, root_paths)
                    current = _instead(current, os.dup(root))
                    real = []
                waiting += [component for component in reversed(target.split("/")) if component not in ("", ".")]
            elif path_filter.closes("/".join([*real, name])):
                raise _excluded()
            elif not waiting:
                return current, real, name
            else:
                real.append(name)
                try:
                    current = _instead(current, os.open(name, DIRECTORY, dir_fd=current))
                except (FileNotFoundError, NotADirectoryError):
                    if path_filter.excludes("/".join(real)):
                        raise _excluded() from None
                    raise
    except BaseException:
        os.close(current)
        raise
    return current, real, None


def _target(directory: int, name: str) -> str | None:
    """Return where a link leads; ``None`` if the name is no link or does not exist."""
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _below(target: str, root_paths: Sequence[str]) -> str:
    for root in root_paths:
        if target == root or target.startswith(root.rstrip("/") + "/"):
            return target[len(root) :]
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))


def _excluded() -> ExcludedError:
    return ExcludedError(errno.ENOENT, os.strerror(errno.ENOENT))


def _instead(current: int, following: int) -> int:
    os.close(current)
    return following
