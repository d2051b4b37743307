"""The state that a server process keeps across configuration reloads: active requests, held snapshots, metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from airflow_provider_sync.config import ServerLimits
from airflow_provider_sync.server.access.shared_places import SharedPlaces
from airflow_provider_sync.server.active_requests import ActiveRequests
from airflow_provider_sync.server.observability.metrics import Metrics
from airflow_provider_sync.server.tables.snapshot_leases import HeldLeases


@dataclass(frozen=True, slots=True)
class ProcessState:
    """The state that outlives a configuration, but not the process."""

    active_requests: ActiveRequests
    leases: HeldLeases
    metrics: Metrics

    @classmethod
    def begin(cls, limits: ServerLimits, places: SharedPlaces | None = None) -> Self:
        """Return the state of a new process.

        :param places: places shared with other processes of the server; ``None`` if it is the only one
        """
        metrics = Metrics()
        return cls(ActiveRequests(limits, places, on_wait=metrics.waiting_scans), HeldLeases(), metrics)
