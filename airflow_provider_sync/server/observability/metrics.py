"""The server's Prometheus metrics: counters and histograms of requests, and gauges of the current load.

Labels are few, and clients cannot choose their values; table names are only in the access log. :mod:`.shared_metrics` adds up the
metrics of several processes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.types import Scope

from airflow_provider_sync import __version__
from airflow_provider_sync.server.observability.request_account import RequestAccount
from airflow_provider_sync.server.observability.shared_metrics import SHARED_FOLDER, shared_exposition

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_PREFIX = "sync_server"
_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0, 300.0, 1800.0, 3600.0)
"""Bounds of histograms: from an unchanged small table to a scan that takes an hour."""

OTHER = "other"
"""The endpoint label of unknown paths."""


class Metrics:
    """The metrics of one process; used in its event loop, except for :meth:`waiting_scans`."""

    def __init__(self) -> None:
        # Imported here, since the import takes a tenth of a second and reads the environment.
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

        registry = self._registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"{_PREFIX}_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{_PREFIX}_{name}", text, registry=registry, multiprocess_mode="livesum")

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(f"{_PREFIX}_{name}", text, ["endpoint"], registry=registry, buckets=_SECONDS)

        self._requests = counter("requests", "Requests that were answered, by endpoint and HTTP status.", "endpoint", "status")
        self._rows = counter("rows", "Rows whose values or digests were read for answers.", "endpoint")
        self._files = counter("files", "Files whose entries, digests or contents were read for answers.", "endpoint")
        self._bytes = counter("sent_bytes", "Bytes of the bodies of answers, as they went out.", "endpoint")
        self._errors = counter("errors", "Requests that failed, by the kind of error.", "kind")
        self._refused = counter("refused_tokens", "Requests without a valid token.")
        self._seconds = histogram("request_seconds", "Seconds from the head of a request to the end of its answer.")
        self._scans = histogram("scan_seconds", "Seconds that databases and disks took for the content of an answer.")
        self._streams = gauge("open_streams", "Answers that have begun and not ended.")
        self._waiting = gauge("waiting_scans", "Requests that wait for a place among those that read a database.")
        if SHARED_FOLDER not in os.environ:
            ProcessCollector(registry=registry)

    def observe(self, _scope: Scope, account: RequestAccount) -> None:
        """Count a request that is over."""
        endpoint = account.endpoint or OTHER
        self._requests.labels(endpoint, str(account.status)).inc()
        self._seconds.labels(endpoint).observe(account.seconds)
        self._bytes.labels(endpoint).inc(account.bytes_sent)
        if account.tables:
            self._rows.labels(endpoint).inc(account.rows)
        if account.directory:
            self._files.labels(endpoint).inc(account.files)
        if account.source_seconds:
            self._scans.labels(endpoint).observe(account.source_seconds)
        if account.refused:
            self._refused.inc()
        if account.error:
            self._errors.labels(account.error).inc()

    def open_streams(self, change: int) -> None:
        """Add to the number of responses that have begun but not ended."""
        self._streams.inc(change)

    def waiting_scans(self, change: int) -> None:
        """Add to the number of requests that wait until they may read a database; may be called from any thread."""
        self._waiting.inc(change)

    def exposition(self, cache: Path | None, *, now: Callable[[], float] = time.time) -> bytes:
        """Return the metrics of all processes that share them, as text.

        :param cache: the file of the digest cache, if there is one
        :param now: seconds since the epoch
        """
        from prometheus_client import CollectorRegistry, generate_latest

        beside = CollectorRegistry()
        beside.register(_Facts(cache, now))
        counted = shared_exposition()
        return (generate_latest(self._registry) if counted is None else counted) + generate_latest(beside)


class _Facts:
    """Metrics that are computed at each scrape, and are the same for all processes."""

    def __init__(self, cache: Path | None, now: Callable[[], float]) -> None:
        self._cache = cache
        self._now = now

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; called by the registry."""
        from prometheus_client.metrics_core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily(_PREFIX, "The version of the server.", value={"version": __version__})
        if self._cache is None:
            return
        # SQLite writes to the write-ahead log first.
        files = (self._cache, self._cache.with_name(f"{self._cache.name}-wal"))
        written = [file.stat().st_mtime for file in files if file.exists()]
        if written:
            text = "Seconds since a digest of a file was last added to the cache."
            yield GaugeMetricFamily(f"{_PREFIX}_digest_cache_age_seconds", text, value=max(0.0, self._now() - max(written)))
