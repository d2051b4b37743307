"""Detect changes of files from their status (stat), without reading them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_Status = tuple[int, int, int] | None


class WatchedFiles:
    """A set of files; symbolic links are followed, as Kubernetes volumes need.

    :param paths: paths, which need not exist
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._known = self._last = self._statuses()

    def changed(self) -> bool:
        """Tell whether a file has changed, but none since the last call.

        So a change is reported only after the writer of several files, or of a file in pieces, has finished.
        """
        before, self._last = self._last, self._statuses()
        if self._last == self._known or self._last != before:
            return False
        self._known = self._last
        return True

    def take_as_known(self) -> None:
        """Ignore all changes until now, since the caller is about to read the files."""
        self._known = self._last = self._statuses()

    def _statuses(self) -> tuple[_Status, ...]:
        return tuple(map(_status, self._paths))


def _status(path: Path) -> _Status:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
