"""Spans of syncs, in a tracer of OpenTelemetry's own SDK."""

from __future__ import annotations

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from airflow_provider_sync.airflow_support.task_spans import emit_report_spans
from airflow_provider_sync.report import DirectoryReport, TableReport

REPORTS = [
    TableReport(name="orders", status="changed", rows_inserted=3, seconds=1.5),
    DirectoryReport(name="images", status="failed", error="The source is gone."),
]


@pytest.fixture
def exporter(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """Give what this process's tracer exports to."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


def test_a_broken_back_end(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A failing span processor is a warning, and the sync succeeds."""

    class Broken(SpanProcessor):
        def on_start(self, span: trace.Span, parent_context: Context | None = None) -> None:
            raise RuntimeError("no collector")

    provider = TracerProvider()
    provider.add_span_processor(Broken())
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    monkeypatch.setenv("AIRFLOW__TRACES__OTEL_ON", "True")
    emit_report_spans(REPORTS)
    assert "The spans of this sync could not be emitted" in caplog.text


def test_spans(exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each table and directory is a span below the task's, as long as its sync took, with its numbers and its error."""
    monkeypatch.setenv("AIRFLOW__TRACES__OTEL_ON", "True")
    with trace.get_tracer("test").start_as_current_span("worker.sync") as task:
        emit_report_spans(REPORTS)
    orders, images, _ = exporter.get_finished_spans()
    assert [orders.name, images.name] == ["sync.table", "sync.directory"]
    assert {span.parent.span_id for span in (orders, images) if span.parent} == {task.get_span_context().span_id}
    assert orders.end_time is not None
    assert orders.start_time is not None
    assert orders.end_time - orders.start_time == 1_500_000_000
    assert orders.attributes is not None
    assert (orders.attributes["sync.name"], orders.attributes["sync.rows_inserted"]) == ("orders", 3)
    assert (images.status.status_code, images.status.description) == (trace.StatusCode.ERROR, "The source is gone.")


def test_off(exporter: InMemorySpanExporter) -> None:
    """Without Airflow's tracing there is no span."""
    emit_report_spans(REPORTS)
    assert exporter.get_finished_spans() == ()
