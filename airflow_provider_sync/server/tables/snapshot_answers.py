"""The endpoint ``/holdSnapshot``: hold a snapshot for a client until the client disconnects."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from functools import partial
from threading import Event

from starlette.responses import Response

from airflow_provider_sync.config import ServerLimits, SourceTable
from airflow_provider_sync.escalation import Canceller
from airflow_provider_sync.protocol.v1.requests import table_hash_request
from airflow_provider_sync.protocol.v2.keep_alives import NO_SEGMENTS
from airflow_provider_sync.protocol.v2.messages import HoldSnapshot, Segments, SnapshotHeld
from airflow_provider_sync.protocol.v2.stream import write_messages
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.json_requests import decode_json, invalid_field
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.streaming import IDLE_SECONDS, stream_messages
from airflow_provider_sync.server.tables.offered_tables import OfferedTables
from airflow_provider_sync.server.tables.snapshot_leases import SnapshotLeases


class SnapshotAnswers:
    """Answers ``/holdSnapshot``."""

    def __init__(self, limits: ServerLimits, sources: Sources, tables: OfferedTables, leases: SnapshotLeases) -> None:
        self._limits = limits
        self._sources = sources
        self._tables = tables
        self._leases = leases

    def hold(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the name of a snapshot, then only keep-alives until the client disconnects or the lease ends."""
        request = decode_json(body, HoldSnapshot)
        visible = self._tables.visible_to(grant)
        sources = [visible[table_hash_request({"config_name": name}, visible)] for name in request.tables]
        self._check_one_database(sources)
        left = Event()
        with ExitStack() as stack:
            name = stack.enter_context(self._leases.take(sources, grant, active))
            stack.enter_context(active.watching(Canceller(partial(_leave, left))))
            lease = stack.pop_all()
            messages = self._messages(name, left, lease)
            return stream_messages(write_messages, messages, accept, active, what="A snapshot", close=lease.close)

    def _check_one_database(self, sources: Sequence[SourceTable]) -> None:
        """Refuse tables of several databases, which cannot share a snapshot."""
        first = sources[0]
        for source in sources[1:]:
            if self._sources.url(source) != self._sources.url(first):
                raise invalid_field(
                    "tables",
                    f"Tables {first.name!r} and {source.name!r} are in two databases at the source, which no snapshot has"
                    " together. Sync them in runs of their own, or without `consistent`.",
                )

    def _messages(self, name: str, left: Event, lease: ExitStack) -> Generator[SnapshotHeld | Segments, None, None]:
        """Yield the name, then keep-alives while the snapshot is held.

        :param left: set when the client has disconnected
        :param lease: closed before the response ends, so that the snapshot is gone when a client sees the end
        """
        seconds = self._limits.snapshot_seconds
        until = time.monotonic() + seconds
        with lease:
            yield SnapshotHeld(snapshot=name, seconds=seconds)
            while (remaining := until - time.monotonic()) > IDLE_SECONDS:
                if left.wait(IDLE_SECONDS):
                    return
                yield NO_SEGMENTS
            left.wait(max(0.0, remaining))


def _leave(left: Event) -> bool:
    left.set()
    return True
