"""Notice that files have changed, by their status alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

_Status = tuple[int, int, int] | None


class WatchedFiles:
    """Some files; also those that links lead to, as in the volumes of Kubernetes.

    :param paths: that need not exist
    """

    def __init__(self, paths: Iterable[Path]) -> None:
        self._paths = tuple(paths)
        self._known = self._last = self._look()

    def changed(self) -> bool:
        """Whether a file has changed since the last change, and none since the last call.

        So who writes several files, or one in pieces, is waited for.
        """
        before, self._last = self._last, self._look()
        if self._last == self._known or self._last != before:
            return False
        self._known = self._last
        return True

    def take_as_known(self) -> None:
        """Count no change until now: somebody is about to read the files, whatever they are."""
        self._known = self._last = self._look()

    def _look(self) -> tuple[_Status, ...]:
        return tuple(map(_status, self._paths))


def _status(path: Path) -> _Status:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
