"""Measure time and traffic of a piece of work for its report."""

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
    """Measure time and traffic; :meth:`so_far` returns them as fields of a report.

    A measure counts all traffic of its client while it runs, so only one measure of a client may run at a time.

    :param client: the client whose traffic is counted
    :param running: whether to start at once; otherwise :meth:`counting` starts it
    :param earlier: costs of earlier steps, each as :meth:`so_far` returned them
    """

    def __init__(self, client: SyncClient, *, earlier: Iterable[Mapping[str, Any]] = (), running: bool = True) -> None:
        self._earlier = list(earlier)
        self._traffic = client.traffic
        self._since = self._counters() if running else None
        self._counted: _Counters = (0, 0, 0, 0.0)

    def pause(self) -> None:
        """Stop counting, since the following work belongs to another measure."""
        self._counted, self._since = self._total(), None

    @contextmanager
    def counting(self, instead_of: Measure | None = None) -> Iterator[None]:
        """Count the time and the traffic of the block.

        :param instead_of: another measure, which is paused during the block
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
        """Return ``requests``, ``bytes_received``, ``bytes_sent`` and ``seconds`` until now."""
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
