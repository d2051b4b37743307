"""Time and traffic of one piece of work, for its report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_sync.client import SyncClient

_Counters = tuple[int, int, int]


class Measure:
    """Measure time and traffic from its construction on; :meth:`so_far` returns them as fields of a report.

    :param client: the client whose traffic is counted
    :param earlier: what earlier steps cost, as :meth:`so_far` of each returned it
    """

    def __init__(self, client: SyncClient, *, earlier: Iterable[Mapping[str, Any]] = ()) -> None:
        self._earlier = list(earlier)
        self._traffic = client.traffic
        self._started = time.monotonic()
        self._since: _Counters | None = self._counters()
        self._counted: _Counters = (0, 0, 0)

    def pause(self) -> None:
        """Stop counting traffic, since what follows belongs to something else. Time goes on."""
        self._counted, self._since = self._total(), None

    def resume(self) -> None:
        """Count traffic again, after a pause."""
        self._since = self._counters()

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count the traffic of the block, after a pause and until the next."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def so_far(self) -> dict[str, Any]:
        """Return ``requests``, ``bytes_received``, ``bytes_sent`` and ``seconds`` since the start."""
        requests, received, sent = self._total()
        measured = {
            "requests": requests,
            "bytes_received": received,
            "bytes_sent": sent,
            "seconds": time.monotonic() - self._started,
        }
        return {name: round(amount + sum(step[name] for step in self._earlier), 3) for name, amount in measured.items()}

    def _total(self) -> _Counters:
        if self._since is None:
            return self._counted
        now = zip(self._counted, self._counters(), self._since, strict=True)
        requests, received, sent = (counted + after - before for counted, after, before in now)
        return requests, received, sent

    def _counters(self) -> _Counters:
        return self._traffic.requests, self._traffic.bytes_received, self._traffic.bytes_sent
