"""The trigger that watches a directory of the source for an asset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.sync import Watched, WatchedDirectory
from airflow_provider_sync.triggers.polls import MAX_SECONDS
from airflow_provider_sync.triggers.source_watch import SourceWatch, listed


class FilesChangedTrigger(SourceWatch):
    """Watch a directory of the source for an asset, as ``AssetWatcher(name=…, trigger=FilesChangedTrigger(directory=…))``.

    For each poll the source lists its files without reading them, and sends a single line if nothing changed. The target is not
    read. An event carries ``name``, ``kind`` (``"directory"``) and ``digest``. A version 1 server hashes its files for each poll;
    with hasher ``none`` it cannot be watched.

    :param directory: the name that the server offers
    :param prefix: a folder of the directory to watch, such as ``2026/01``; patterns apply to the paths below it
    :param include: glob patterns of the files to watch; all by default
    :param exclude: glob patterns of files to ignore
    :param sync_conn_id: connection of the server
    :param poll_interval: seconds between two polls
    :param max_seconds: time limit, in seconds, for one poll
    """

    def __init__(
        self,
        *,
        directory: str,
        prefix: str | None = None,
        include: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        poll_interval: float = 300.0,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        super().__init__(sync_conn_id=sync_conn_id, poll_interval=poll_interval, max_seconds=max_seconds)
        self.directory = directory
        self.prefix = prefix and prefix.strip("/")
        self.include = listed(include)
        self.exclude = listed(exclude)

    @property
    def watched(self) -> Watched:
        """The directory to watch."""
        return WatchedDirectory(name=self.directory, prefix=self.prefix, include=tuple(self.include), exclude=tuple(self.exclude))

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments besides those of :class:`SourceWatch`, as plain data."""
        return {"directory": self.directory, "prefix": self.prefix, "include": self.include, "exclude": self.exclude}
