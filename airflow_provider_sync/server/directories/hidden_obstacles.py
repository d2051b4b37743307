"""Requests for files below a path that is not offered: their answers must not tell what is there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.patterns import PathFilter

_OBSTACLES = frozenset({errno.ENOTDIR, errno.ELOOP})


@contextmanager
def hidden_obstacles(path: str, path_filter: PathFilter, location: str) -> Iterator[None]:
    """Raise the error of a missing file if a file that is not offered may be in the place of a directory of ``path``.

    The system's error would tell that there is a file, or a link, at an excluded path.

    :param location: of the directory, for the message
    :raises MissingFileError: in place of an error about a part of the path that is no directory
    """
    try:
        yield
    except FileError as error:
        cause = error.__cause__
        if not isinstance(cause, OSError) or cause.errno not in _OBSTACLES or _are_offered(path, path_filter):
            raise
        missing = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        raise file_error("read", path, location, missing) from missing


def _are_offered(path: str, path_filter: PathFilter) -> bool:
    """Tell whether files in place of the directories of a path would be offered."""
    return all(path_filter.selects(path[:end]) for end, character in enumerate(path) if character == "/")
