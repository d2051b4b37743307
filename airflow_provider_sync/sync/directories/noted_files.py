"""Files of a sync of which a message is to tell: some by name, with the reason, the others as a number."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Lock

from airflow_provider_sync.sync.directories.problems import MAX_KEPT


class NotedFiles:
    """The first :data:`.MAX_KEPT` files that were noted, and how many there were besides; safe to use from several threads.

    A file that is noted again counts once, as long as its name is kept.

    :param files: paths, and why
    :param more: number of files besides, whose names are not known
    :ivar named: paths of the first ones, and why, if there is a reason
    :ivar more: number of the others
    """

    def __init__(self, files: Mapping[str, str] | None = None, more: int = 0) -> None:
        self.named: dict[str, str] = {}
        self.more = more
        self._lock = Lock()
        self.update(files or {})

    def add(self, path: str, reason: str = "") -> None:
        """Note a file."""
        with self._lock:
            if len(self.named) < MAX_KEPT or path in self.named:
                self.named[path] = reason
            else:
                self.more += 1

    def update(self, files: Mapping[str, str]) -> None:
        """Note several files."""
        for path, reason in files.items():
            self.add(path, reason)

    def add_noted(self, others: NotedFiles) -> None:
        """Note what was noted elsewhere."""
        self.update(others.named)
        with self._lock:
            self.more += others.more

    def __len__(self) -> int:
        return len(self.named) + self.more
