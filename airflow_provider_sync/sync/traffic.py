"""Time and traffic of one piece of work, for its report."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from airflow_provider_sync.client import SyncClient

MEASURED = ("requests", "bytes_received", "bytes_sent", "seconds")
"""The fields of a report that are measured."""

_Counters = tuple[float, float, float, float]


class Measure:
    """Measure time and traffic from its construction on; :meth:`so_far` returns them as fields of a report.

    Of several at the same client only one may run at a time: each counts all that the client sends while it runs.

    :param client: the client whose traffic is counted
    :param running: whether it starts at once; otherwise :meth:`counting` does
    :param earlier: what earlier steps cost, as :meth:`so_far` of each returned it
    """

    def __init__(self, client: SyncClient, *, earlier: Iterable[Mapping[str, Any]] = (), running: bool = True) -> None:
        self._earlier = list(earlier)
        self._traffic = client.traffic
        self._since = self._counters() if running else None
        self._counted: _Counters = (0, 0, 0, 0.0)

    def pause(self) -> None:
        """Stop counting, since what follows belongs to something else."""
        self._counted, self._since = self._total(), None

    @contextmanager
    def counting(self, instead_of: Measure | None = None) -> Iterator[None]:
        """Count the time and the traffic of the block.

        :param instead_of: what counts before and after the block, and not meanwhile
        """
        if self._since is not None:
            yield  # it counts already
            return
        if instead_of is not None:
            instead_of.pause()
        self._since = self._counters()
        try:
            yield
        finally:
            self.pause()
            if instead_of is not None:
                instead_of._since = instead_of._counters()

    def so_far(self) -> dict[str, Any]:
        """Return ``requests``, ``bytes_received``, ``bytes_sent`` and ``seconds``, as far as they were counted."""
        measured = dict(zip(MEASURED, self._total(), strict=True))
        return {name: round(amount + sum(step[name] for step in self._earlier), 3) for name, amount in measured.items()}

    def _total(self) -> _Counters:
        if self._since is None:
            return self._counted
        now = zip(self._counted, self._counters(), self._since, strict=True)
        requests, received, sent, seconds = (counted + after - before for counted, after, before in now)
        return requests, received, sent, seconds

    def _counters(self) -> _Counters:
        return self._traffic.requests, self._traffic.bytes_received, self._traffic.bytes_sent, time.monotonic()
