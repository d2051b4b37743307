"""What the deferrable sensors wait for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync import Watched
from airflow_provider_sync.triggers.polls import MAX_SECONDS, poll

MOST_ERRORS = 5
"""Transient failures in a row after which the task is woken."""


class SourceMovedTrigger(BaseTrigger):
    """Fire once, when a table or directory of the source is no longer what it was.

    The first poll comes after a pause: whoever defers has just looked. The event is a mapping: ``digest`` is what the
    source has now; ``error`` says instead why it cannot be told. Either way it is time to look again.

    :param sync_conn_id: connection of the server
    :param watched: the table or directory, as plain data of :data:`~airflow_provider_sync.sync.Watched`
    :param known: the digest that is no news; with ``None`` any is
    :param poll_interval: seconds between two polls
    :param max_seconds: seconds that one poll may take
    """

    def __init__(
        self,
        *,
        sync_conn_id: str,
        watched: Mapping[str, Any],
        known: str | None,
        poll_interval: float,
        max_seconds: float = MAX_SECONDS,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow's has no annotations
        self.sync_conn_id = sync_conn_id
        self.watched = watched
        self.known = known
        self.poll_interval = poll_interval
        self.max_seconds = max_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the path of this class, and its arguments."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "sync_conn_id": self.sync_conn_id,
            "watched": dict(self.watched),
            "known": self.known,
            "poll_interval": self.poll_interval,
            "max_seconds": self.max_seconds,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Poll until there is news, an error that somebody has to fix, or one that does not pass."""
        watched = msgspec.convert(self.watched, Watched)
        errors = 0
        while True:
            await asyncio.sleep(self.poll_interval)
            try:
                digest = await poll(self.sync_conn_id, watched, max_seconds=self.max_seconds)
            except SyncError as error:
                errors += 1
                if not error.retryable or errors == MOST_ERRORS:
                    yield TriggerEvent({"digest": None, "error": str(error)})
                    return
                self.log.warning("Failed %s of %s times in a row: %s", errors, MOST_ERRORS, error)
                continue
            errors = 0
            if digest != self.known:
                yield TriggerEvent({"digest": digest, "error": None})
                return
