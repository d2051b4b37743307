"""Leases on snapshots: a client that reads all tables of a run from one snapshot holds it while it stays connected.

This is the only state that the server keeps between requests. It outlives a configuration, but not this process, so with
``consistent`` the same process must answer all requests of a run.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock

from airflow_provider_sync.config import ServerLimits, SourceTable
from airflow_provider_sync.databases.held_snapshot import HeldSnapshot
from airflow_provider_sync.protocol.v2.messages import RequestedSlice
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.http_errors import SnapshotEnded, TooManySnapshots
from airflow_provider_sync.server.json_requests import invalid_field
from airflow_provider_sync.server.sources import Sources
from airflow_provider_sync.server.tables.open_table import names_and_queries


@dataclass(frozen=True, slots=True)
class _Lease:
    """A held snapshot, and the caller that may read it.

    :ivar url: URL of the database
    :ivar caller: see :attr:`.Grant.caller`
    """

    url: str
    caller: bytes
    held: HeldSnapshot


class HeldLeases:
    """The leases of a process, by name; thread-safe.

    :ivar process: unique id of the process
    """

    def __init__(self) -> None:
        self.process = secrets.token_hex(4)
        self.by_name: dict[str, _Lease] = {}
        self._taken = 0
        self._lock = Lock()

    @contextmanager
    def place(self, limit: int) -> Iterator[None]:
        """Count one more snapshot inside the block.

        :raises TooManySnapshots: when the limit is reached
        """
        with self._lock:
            if self._taken >= limit:
                raise TooManySnapshots(limit)
            self._taken += 1
        try:
            yield
        finally:
            with self._lock:
                self._taken -= 1


class SnapshotLeases:
    """The snapshots that clients hold, up to ``limits.snapshots``, and the databases of one configuration.

    :param held: the leases of the process, including those of an earlier configuration
    """

    def __init__(self, limits: ServerLimits, sources: Sources, held: HeldLeases) -> None:
        self._limits = limits
        self._sources = sources
        self._held = held

    @contextmanager
    def take(self, sources: Sequence[SourceTable], grant: Grant, active: ActiveRequest) -> Iterator[str]:
        """Hold a snapshot of tables inside the block.

        :param sources: tables of one database
        :param active: the request; it ends the snapshot's connection if it has to end and its database does not answer
        :return: an unguessable name, with which requests of the same caller read the snapshot
        :raises TooManySnapshots: if the limit is reached
        """
        name = f"{self._held.process}.{secrets.token_urlsafe(24)}"
        database, url = self._sources.database(sources[0]), self._sources.url(sources[0])
        with (
            self._held.place(self._limits.snapshots),
            active.lock_waits.waiting(database.watched_by(active)) as waiting,
            waiting.held_snapshot(*names_and_queries(sources)) as held,
        ):
            self._held.by_name[name] = _Lease(url, grant.caller, held)
            try:
                yield name
            finally:
                del self._held.by_name[name]

    def find(self, requested_slice: RequestedSlice, source: SourceTable, grant: Grant) -> HeldSnapshot | None:
        """Return the snapshot that a request names; ``None`` if it names none.

        :raises SnapshotEnded: if it is not held by this process and for this caller
        :raises InvalidRequest: if it is a snapshot of another database
        """
        name = requested_slice.snapshot
        if name is None:
            return None
        lease = self._held.by_name.get(name)
        if lease is None or not hmac.compare_digest(lease.caller, grant.caller):
            elsewhere = name.partition(".")[0] != self._held.process
            raise SnapshotEnded(source.name, self._limits.snapshot_seconds, elsewhere=elsewhere)
        if lease.url != self._sources.url(source):
            raise invalid_field("table_slice.snapshot", f"Table {source.name!r} is in another database than the snapshot.")
        return lease.held
