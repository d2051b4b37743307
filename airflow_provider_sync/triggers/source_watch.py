"""Base of the asset watchers: sends one event for each new state of the source, also across restarts."""

from __future__ import annotations

import asyncio
import hashlib
import re
from abc import abstractmethod
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_provider_sync.airflow_support.rendered_arguments import read_seconds
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync import Watched
from airflow_provider_sync.triggers.last_digest import LastDigest
from airflow_provider_sync.triggers.polls import MAX_SECONDS, poll

DELIVERY_SECONDS = 5.0
"""Seconds between sending an event and storing its digest, so that after a crash an event is sent again rather than lost."""

PERMANENT_ERROR_SECONDS = 600.0
"""Minimum pause, in seconds, after an error that is not retryable."""


class SourceWatch(BaseEventTrigger):
    """Send an event for each new state of a table or directory of the source.

    The first state ever seen counts as new, since the target may be behind. The digest of the last event is stored (see
    :mod:`.last_digest`), so a restart loses no event; it repeats one only within :data:`DELIVERY_SECONDS` of that event. Errors
    are logged and polling continues, since Airflow would restart a watcher that ends.

    :param sync_conn_id: connection of the sync server
    :param poll_interval: seconds between two polls
    :param max_seconds: time limit, in seconds, for one poll
    """

    def __init__(self, *, sync_conn_id: str, poll_interval: float, max_seconds: float = MAX_SECONDS) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        for name, value in (("poll_interval", poll_interval), ("max_seconds", max_seconds)):
            read_seconds(name, value)
        self.sync_conn_id = sync_conn_id
        self.poll_interval = poll_interval
        self.max_seconds = max_seconds

    @property
    @abstractmethod
    def watched(self) -> Watched:
        """The table or directory to watch."""

    @property
    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """The subclass's own arguments, as plain data."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of this class, and its arguments."""
        shared = {name: getattr(self, name) for name in ("sync_conn_id", "poll_interval", "max_seconds")}
        arguments = {**self.arguments, **shared}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until cancelled, and send an event for each new digest."""
        watched = self.watched
        # Airflow 3.3 and newer set the attribute if the trigger belongs to an asset.
        last = LastDigest(self.key, getattr(self, "asset_state_store", None))
        known = await last.read()
        while True:
            try:
                digest = await poll(self.sync_conn_id, watched, known=known, max_seconds=self.max_seconds)
            except SyncError as error:
                pause = self.poll_interval if error.retryable else max(self.poll_interval, PERMANENT_ERROR_SECONDS)
                self.log.error("%s of %s: trying again in %.0f seconds. %s", watched.name, self.sync_conn_id, pause, error)
                await asyncio.sleep(pause)
                continue
            if digest != known:
                known = digest
                yield TriggerEvent({"name": watched.name, "kind": watched.kind, "digest": digest})
                await asyncio.sleep(DELIVERY_SECONDS)
                await last.write(digest)
            await asyncio.sleep(self.poll_interval)

    @property
    def key(self) -> str:
        """The key of the stored digest: readable, and unique for the connection and the watched table or directory."""
        identity = msgspec.json.encode([self.sync_conn_id, self.watched])
        name = re.sub(r"[^\w.-]", "_", self.watched.name)[:100]
        return f"sync_digest.{name}.{hashlib.sha256(identity).hexdigest()[:12]}"


def listed(names: str | Sequence[str] | None) -> list[str]:
    """Return one name or several names as a list."""
    return [names] if isinstance(names, str) else list(names or ())
