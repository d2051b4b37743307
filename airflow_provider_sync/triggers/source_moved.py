"""The trigger to which deferrable sensors defer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync import Watched
from airflow_provider_sync.triggers.polls import MAX_SECONDS, poll

MAX_ERRORS = 5
"""Consecutive transient failures after which the trigger resumes the task."""


class SourceMovedTrigger(BaseTrigger):
    """Fire once, when the digest of a source table or directory is no longer the known one.

    The first poll waits for ``poll_interval``, since the sensor has just compared. The event is a mapping: ``digest`` is the new
    digest, or ``None`` if it could not be read; then ``error`` says why. In both cases the sensor compares again.

    :param sync_conn_id: connection of the sync server
    :param watched: the table or directory: a :data:`~airflow_provider_sync.sync.Watched` as plain data
    :param known: the digest when the sensor compared; with ``None``, the first poll fires
    :param poll_interval: seconds between two polls
    :param max_seconds: time limit, in seconds, for one poll
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
        """Poll until the digest changes, an error is permanent, or :data:`MAX_ERRORS` transient errors occurred in a row."""
        watched = msgspec.convert(self.watched, Watched)
        errors = 0
        while True:
            await asyncio.sleep(self.poll_interval)
            try:
                digest = await poll(self.sync_conn_id, watched, known=self.known, max_seconds=self.max_seconds)
            except SyncError as error:
                errors += 1
                if not error.retryable or errors == MAX_ERRORS:
                    yield TriggerEvent({"digest": None, "error": str(error)})
                    return
                self.log.warning("Failed %s of %s times in a row: %s", errors, MAX_ERRORS, error)
                continue
            errors = 0
            if digest != self.known:
                yield TriggerEvent({"digest": digest, "error": None})
                return
