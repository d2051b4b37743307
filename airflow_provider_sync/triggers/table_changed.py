"""The trigger that watches a table of the source for an asset."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.protocol.v2.messages import RequestedSlice
from airflow_provider_sync.sync import Watched, WatchedTable
from airflow_provider_sync.triggers.polls import MAX_SECONDS
from airflow_provider_sync.triggers.source_watch import SourceWatch, listed


class TableChangedTrigger(SourceWatch):
    """Watch a table of the source for an asset, as ``AssetWatcher(name=…, trigger=TableChangedTrigger(table=…))``.

    Each poll costs the source one scan of the table; the target is not read. An event carries ``name``, ``kind``
    (``"table"``) and ``digest``.

    :param table: the name that the server offers
    :param columns: the columns to watch besides the key (version 2 of the protocol); all by default
    :param sync_conn_id: connection of the server
    :param poll_interval: seconds between two polls
    :param max_seconds: time limit, in seconds, for one poll
    """

    def __init__(
        self,
        *,
        table: str,
        columns: str | Sequence[str] | None = None,
        sync_conn_id: str = SyncServerHook.default_conn_name,
        poll_interval: float = 300.0,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        super().__init__(sync_conn_id=sync_conn_id, poll_interval=poll_interval, max_seconds=max_seconds)
        self.table = table
        self.columns = listed(columns)

    @property
    def watched(self) -> Watched:
        """The table to watch."""
        return WatchedTable(table_slice=RequestedSlice(name=self.table, columns=tuple(self.columns) or None))

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments besides those of :class:`SourceWatch`, as plain data."""
        return {"table": self.table, "columns": self.columns}
