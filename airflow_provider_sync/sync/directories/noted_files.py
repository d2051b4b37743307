"""Collect files for a message of a sync: the first by name with the reason, the rest as a number."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from airflow_provider_sync.sync.directories.problems import MAX_KEPT


class NotedFiles:
    """The first :data:`.MAX_KEPT` files that were added, and the number of the others; thread-safe.

    A file that is added again counts once if its name was kept.

    :param files: paths with reasons
    :param more: number of further files, whose names are not known
    :ivar named: paths of the first files with reasons; a reason may be empty
    :ivar more: number of the other files
    """

    def __init__(self, files: Mapping[str, str] | None = None, more: int = 0) -> None:
        self.named: dict[str, str] = {}
        self.more = more
        self._lock = Lock()
        self.update(files or {})

    def add(self, path: str, reason: str = "") -> None:
        """Add a file."""
        with self._lock:
            if len(self.named) < MAX_KEPT or path in self.named:
                self.named[path] = reason
            else:
                self.more += 1

    def update(self, files: Mapping[str, str]) -> None:
        """Add several files."""
        for path, reason in files.items():
            self.add(path, reason)

    def add_noted(self, others: NotedFiles) -> None:
        """Add the files of another collection."""
        self.update(others.named)
        with self._lock:
            self.more += others.more

    def __len__(self) -> int:
        return len(self.named) + self.more
