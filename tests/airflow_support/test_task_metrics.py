"""Metrics of syncs through Airflow's own, at a socket that listens as StatsD does."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from importlib import import_module
from inspect import signature
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Stats

from airflow_provider_sync.airflow_support import task_metrics
from airflow_provider_sync.airflow_support.task_metrics import emit_report_metrics, metrics_of
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.report import DirectoryReport, TableReport
from tests.airflow_runs import AIRFLOW_VERSION, run_dag, task_states
from tests.source_server import Source, Target

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)
TASK: Any = {"ti": SimpleNamespace(dag_id="shop", task_id="sync.orders")}


class StatsD:
    """A UDP socket that keeps what arrives."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self._socket.settimeout(0.05)
        self.port = self._socket.getsockname()[1]

    def received(self) -> dict[str, str]:
        """Return what has arrived, by the names of the metrics."""
        found: dict[str, str] = {}
        try:
            while True:
                name, _, value = self._socket.recv(4096).decode().rpartition(":")
                found[name] = value
        except TimeoutError:
            return found

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


@pytest.fixture
def statsd(monkeypatch: pytest.MonkeyPatch) -> Iterator[StatsD]:
    """Give a StatsD to which this process's Airflow sends its metrics."""
    server = StatsD()
    settings = {"STATSD_ON": "True", "STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(server.port), "STATSD_PREFIX": "airflow"}
    for name, value in settings.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
    made_by = _airflow_metrics("statsd_logger").get_statsd_logger
    logger = made_by(*[None] * len(signature(made_by).parameters))  # Airflow 3.1.0 calls it like a method
    _initialize(lambda: logger)
    yield server
    logger.statsd.close()
    server.close()
    monkeypatch.undo()
    _initialize(_airflow_metrics("base_stats_logger").NoStatsLogger)


def _airflow_metrics(module: str) -> Any:
    """Import a module of what Airflow emits metrics with."""
    for package in ("airflow.sdk.observability.metrics", "airflow.sdk._shared.observability.metrics", "airflow.metrics"):
        with suppress(ModuleNotFoundError):
            return import_module(f"{package}.{module}")
    raise ModuleNotFoundError(module)


def _initialize(factory: Callable[[], Any]) -> None:
    """Do what Airflow's task runner does at its start."""
    if AIRFLOW_VERSION >= (3, 3):
        Stats.initialize(factory=factory, export_legacy_names=True)
    elif AIRFLOW_VERSION >= (3, 2):
        Stats.initialize(factory=factory)  # type: ignore[call-arg]
    else:
        holder: Any = Stats
        holder.instance, holder._instance_pid = factory(), os.getpid()


def test_a_task_sends_them(source: Source, target: Target, statsd: StatsD) -> None:
    """A task sends rows, bytes, seconds and the time of the success, of all tables and of each."""
    with DAG("measured", schedule=None) as dag:
        TableSyncOperator(task_id="sync", tables=["orders", "customers"], target_conn_id="target")
    assert task_states(run_dag(dag)) == {"sync": "success"}
    found = statsd.received()
    assert found["airflow.sync.rows_inserted.table.orders"] == "3|c"
    assert found["airflow.sync.rows_inserted.table.customers"] == "1|c"
    assert found["airflow.sync.rows_total.table.orders"] == "3|g"
    assert found["airflow.sync.changed"] == "1|c"
    assert found["airflow.sync.duration.table.orders"].endswith("|ms")
    assert int(found["airflow.sync.bytes_received.table.orders"].removesuffix("|c")) > 0
    age = datetime.now(UTC).timestamp() - int(found["airflow.sync.last_success.table.orders"].removesuffix("|g"))
    assert 0 <= age < 60


def test_names(statsd: StatsD) -> None:
    """For any characters in a name, the metric has a valid name with a fixed number of levels."""
    emit_report_metrics(TASK, [TableReport(name="shop.Äpfel, groß", status="unchanged")])
    assert statsd.received()["airflow.sync.unchanged.table.shop___pfel__gro_"] == "1|c"


def test_without_names_of_tables(statsd: StatsD, monkeypatch: pytest.MonkeyPatch) -> None:
    """If Airflow exports only tagged metrics, the task does so, too."""
    monkeypatch.setenv("AIRFLOW__METRICS__LEGACY_NAMES_ON", "False")
    emit_report_metrics(TASK, [TableReport(name="orders", status="unchanged")])
    assert sorted(statsd.received()) == [
        f"airflow.sync.{name}" for name in ("duration", "last_success", "rows_total", "unchanged")
    ]


def test_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """If Airflow's metrics are off, no metric is computed."""
    monkeypatch.setattr(task_metrics, "metrics_of", None)
    emit_report_metrics(TASK, [TableReport(name="orders", status="unchanged")])


def test_a_failure() -> None:
    """A failed sync has no totals, and does not change the time of the last success."""
    names = {metric.name for metric in metrics_of(TableReport(name="orders", status="failed", error="e"), NOW)}
    assert names == {"failed", "duration"}


def test_a_directory() -> None:
    """A directory counts files and written bytes; zeros are not sent."""
    report = DirectoryReport(name="images", status="changed", files_total=7, files_added=2, bytes_written=9, seconds=0.5)
    assert {metric.name: metric.value for metric in metrics_of(report, NOW)} == {
        "changed": 1,
        "files_added": 2,
        "bytes_written": 9,
        "files_total": 7,
        "duration": 0.5,
        "last_success": NOW.timestamp(),
    }


def test_a_broken_back_end(statsd: StatsD, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A failing metrics back end is a warning, and the sync succeeds."""

    def broken(*_: object, **__: object) -> None:
        raise OSError("no route")

    monkeypatch.setattr(task_metrics, "_emit", broken)
    emit_report_metrics(TASK, [TableReport(name="orders", status="unchanged")])
    assert "could not be emitted: no route. The sync itself is not affected." in caplog.text
