"""Emit the results of syncs as Airflow metrics: to StatsD, Datadog or OpenTelemetry, as ``[metrics]`` configures.

Names and tags follow Airflow's own: `sync.rows_inserted` with the tags ``dag_id``, ``task_id``, ``kind`` and ``name``, and,
for back ends without tags, `sync.rows_inserted.table.orders` where Airflow exports such names, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple

from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_sync.printable import reason
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sync.freshness import CopyState

log = logging.getLogger(__name__)

PREFIX = "sync."

_BACK_ENDS = ("statsd_on", "statsd_datadog_enabled", "otel_on")
_COUNTERS: dict[type[Report], tuple[str, ...]] = {
    TableReport: ("rows_inserted", "rows_updated", "rows_deleted", "rows_received"),
    DirectoryReport: ("files_added", "files_updated", "files_deleted", "bytes_written"),
}
_TOTALS: dict[type[Report], str] = {TableReport: "rows_total", DirectoryReport: "files_total"}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_.-]")


class Metric(NamedTuple):
    """One value, as a back end takes it; seconds of a ``timing`` become milliseconds there."""

    kind: Literal["counter", "gauge", "timing"]
    name: str
    value: float


def metrics_of(report: Report, now: datetime) -> Iterator[Metric]:
    """Yield the metrics of a report: its status, non-zero amounts, and, unless it failed, totals and times."""
    yield Metric("counter", report.status, 1)
    for name in (*_COUNTERS.get(type(report), ()), "bytes_received", "bytes_sent", "requests"):
        if amount := getattr(report, name):
            yield Metric("counter", name, amount)
    yield Metric("timing", "duration", report.seconds)
    if report.status != "failed":
        if total := _TOTALS.get(type(report)):
            yield Metric("gauge", total, getattr(report, total))
        # A moment, not an age: an age would stay small when syncs stop.
        yield Metric("gauge", "last_success", int(now.timestamp()))


def emit_report_metrics(context: Context, reports: Sequence[Report]) -> None:
    """Emit the metrics of each report of a task; nothing is imported or computed when Airflow's metrics are off."""
    if not metrics_on():
        return
    now = datetime.now(UTC)
    for report in reports:
        emit_metrics(context, report.kind, report.name, metrics_of(report, now))


def emit_state_metrics(context: Context, states: Sequence[CopyState]) -> None:
    """Emit the state of each checked copy: whether it is stale, its age, and the number of differences."""
    if not metrics_on():
        return
    for state in states:
        values = {"stale": int(bool(state.problems)), "age": state.age, "differences": state.differences}
        metrics = (Metric("gauge", name, value) for name, value in values.items() if value is not None)
        emit_metrics(context, state.kind, state.name, metrics)


def emit_metrics(context: Context, kind: str, name: str, metrics: Iterator[Metric]) -> None:
    """Emit metrics of one table or directory; an error is only a warning in the task's log.

    :param kind: ``table`` or ``directory``
    """
    instance = context.get("ti")
    tags = {"kind": kind, "name": _in_names(name)}
    if instance is not None:
        tags |= {"dag_id": _in_names(instance.dag_id), "task_id": _in_names(instance.task_id)}
    try:
        in_name = conf.getboolean("metrics", "legacy_names_on", fallback=True)
        for metric in metrics:
            if in_name:
                # A dot would begin another level.
                _emit(metric, f"{PREFIX}{metric.name}.{kind}.{tags['name'].replace('.', '__')}", {})
            _emit(metric, f"{PREFIX}{metric.name}", tags)
    except Exception as error:  # noqa: BLE001  # a back end may raise anything, and the sync itself is done
        log.warning("The metrics of this sync could not be emitted: %s. The sync itself is not affected.", reason(error))


def metrics_on() -> bool:
    """Whether Airflow emits metrics."""
    return any(conf.getboolean("metrics", option, fallback=False) for option in _BACK_ENDS)


def _emit(metric: Metric, name: str, tags: dict[str, Any]) -> None:
    from airflow.providers.common.compat.sdk import Stats

    match metric.kind:
        case "counter":
            Stats.incr(name, count=int(metric.value), tags=tags)
        case "gauge":
            Stats.gauge(name, metric.value, tags=tags)
        case "timing":
            Stats.timing(name, timedelta(seconds=metric.value), tags=tags)


def _in_names(text: str) -> str:
    """Replace what Airflow refuses in the names of metrics, and InfluxDB in tags."""
    return _NOT_IN_NAMES.sub("_", text)
