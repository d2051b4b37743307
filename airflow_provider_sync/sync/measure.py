"""Time and traffic of one piece of work, for its report."""

from __future__ import annotations

import time
from typing import Any

from airflow_provider_sync.client import SyncClient


class Measure:
    """Start when built; :meth:`so_far` gives the report's fields.

    :param client: whose traffic counts
    """

    def __init__(self, client: SyncClient) -> None:
        self._traffic = client.traffic
        self._started = time.monotonic()
        self._before = self._counters()
        self._after: tuple[int, int, int] | None = None

    def stop_traffic(self) -> None:
        """Count no more traffic: what follows belongs to something else. Time goes on."""
        self._after = self._counters()

    def so_far(self) -> dict[str, Any]:
        """Return ``requests``, ``bytes_received``, ``bytes_sent`` and ``seconds`` since the start."""
        pairs = zip(self._after or self._counters(), self._before, strict=True)
        requests, received, sent = (after - before for after, before in pairs)
        return {
            "requests": requests,
            "bytes_received": received,
            "bytes_sent": sent,
            "seconds": round(time.monotonic() - self._started, 3),
        }

    def _counters(self) -> tuple[int, int, int]:
        return self._traffic.requests, self._traffic.bytes_received, self._traffic.bytes_sent
