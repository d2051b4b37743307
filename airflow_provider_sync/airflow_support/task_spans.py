"""Add a span for each table and directory to the trace of a task, where ``[traces] otel_on`` is set."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from airflow.providers.common.compat.sdk import conf

from airflow_provider_sync.printable import reason
from airflow_provider_sync.report import Report

log = logging.getLogger(__name__)

_ATTRIBUTES = (
    "name",
    "status",
    "protocol",
    "requests",
    "bytes_received",
    "bytes_sent",
    "rows_total",
    "rows_inserted",
    "rows_updated",
    "rows_deleted",
    "files_total",
    "files_added",
    "files_updated",
    "files_deleted",
)


def emit_report_spans(reports: Sequence[Report]) -> None:
    """Write spans that are as long as each sync took and end now, below the task's own; nothing where tracing is off.

    Airflow has a span of the task from 3.2 on; before, nothing collects these. An error is only a warning in the task's log.
    """
    try:
        if conf.getboolean("traces", "otel_on", fallback=False):
            _emit_spans(reports)
    except Exception as error:  # noqa: BLE001  # a span processor may raise anything, and the sync itself is done
        log.warning("The spans of this sync could not be emitted: %s. The sync itself is not affected.", reason(error))


def _emit_spans(reports: Sequence[Report]) -> None:
    from opentelemetry import trace

    tracer = trace.get_tracer("airflow_provider_sync")
    now = time.time_ns()
    for report in reports:
        span = tracer.start_span(
            f"sync.{report.kind}",
            start_time=now - int(report.seconds * 1e9),
            attributes={f"sync.{name}": getattr(report, name) for name in _ATTRIBUTES if hasattr(report, name)},
        )
        if report.status == "failed":
            span.set_status(trace.Status(trace.StatusCode.ERROR, report.error))
        span.end(now)
