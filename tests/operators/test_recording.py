"""What tasks leave in the history of syncs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.airflow_support.task_history import open_airflow_history
from airflow_provider_sync.history import History, open_history
from airflow_provider_sync.operators import sync_operator
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.task_groups.file_sync import FileSyncGroup
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup
from tests.airflow_runs import run_dag, task_states
from tests.source_server import Source, Target


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Give the history that tasks write."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", url)
    return open_history(url)


def run(dag_id: str, tmp_path: Path, **options: Any) -> Any:
    """Run a DAG with two tables, one that the source does not offer, and a directory."""
    with DAG(dag_id, schedule=None) as dag:
        TableSyncOperator(task_id="tables", tables=["orders", "customers"], target_conn_id="target", **options)
        TableSyncOperator(task_id="broken", tables="prices", target_conn_id="target", **options)
        FileSyncOperator(task_id="images", directories="images", path=str(tmp_path / "images"), **options)
    return run_dag(dag)


def test_every_task_is_recorded(source: Source, target: Target, history: History, tmp_path: Path) -> None:
    """A run leaves one record for each table and directory, with its task, and with the error of a failure."""
    ended = run("recorded", tmp_path)
    assert task_states(ended) == {"tables": "success", "broken": "failed", "images": "success"}
    found = {sync.key.name: sync.latest for sync in history.syncs()}
    assert {name: record.report.status for name, record in found.items()} == {
        "customers": "changed",
        "images": "changed",
        "orders": "changed",
        "prices": "failed",
    }
    origin = found["orders"].origin
    assert (origin.dag_id, origin.task_id, origin.run_id) == ("recorded", "tables", ended.run_id)
    assert (origin.map_index, origin.try_number, origin.source) == (-1, 1, "task")
    assert "prices" in str(found["prices"].report.error)


def test_steps_are_one_series(source: Source, target: Target, history: History, tmp_path: Path) -> None:
    """The records of a group's tasks are one series: of changes from the last task, of unchanged tables from the first."""
    with DAG("recorded_steps", schedule=None) as dag:
        TableSyncGroup("tables", tables=["orders", "customers"], target_conn_id="target")
        TableSyncGroup("broken", tables="prices", target_conn_id="target")
        FileSyncGroup("images", directories="images", path=str(tmp_path / "images"))
    for _ in range(2):
        run_dag(dag)
    found = {sync.key.name: sync for sync in history.syncs()}
    assert {name: (sync.key.job, [record.report.status for record in sync.runs]) for name, sync in found.items()} == {
        "customers": ("recorded_steps/tables", ["unchanged", "changed"]),
        "images": ("recorded_steps/images", ["unchanged", "changed"]),
        "orders": ("recorded_steps/tables", ["unchanged", "changed"]),
        "prices": ("recorded_steps/broken", ["failed", "failed"]),
    }
    assert [record.origin.task_id for record in found["orders"].runs] == ["tables.compare", "tables.merge"]
    assert "prices" in str(found["prices"].latest.report.error)


def test_what_fails_before_it_begins_is_recorded(source: Source, target: Target, history: History, tmp_path: Path) -> None:
    """A task without its connection, or with a wrong argument, leaves a record for each of its names."""
    with DAG("recorded_early", schedule=None) as dag:
        TableSyncOperator(task_id="no_server", tables=["orders", "customers"], target_conn_id="target", sync_conn_id="gone")
        TableSyncOperator(
            task_id="no_target", tables={"orders": {"connection": "gone"}, "countries": {}}, target_conn_id="target"
        )
        TableSyncOperator(task_id="wrong", tables="['orders']", target_conn_id="target", max_deletes="{{ 'many' }}")
        TableSyncOperator(task_id="unclear", tables="orders", target_conn_id="target", dry_run="{{ 'maybe' }}")
        TableSyncOperator(task_id="nameless", tables="{{ nothing.at_all }}", target_conn_id="target")
        FileSyncOperator(task_id="images", directories={"images": {}}, path=str(tmp_path), sync_conn_id="gone")
        TableSyncGroup("steps", tables="orders", target_conn_id="gone")
    run_dag(dag)
    found = {(sync.key.job.partition("/")[2], sync.key.name, sync.key.kind): sync.latest.report for sync in history.syncs()}
    assert {key: report.status for key, report in found.items()} == {
        ("no_server", "orders", "table"): "failed",
        ("no_server", "customers", "table"): "failed",
        ("no_target", "orders", "table"): "failed",
        ("no_target", "countries", "table"): "changed",
        ("wrong", "orders", "table"): "failed",
        ("unclear", "orders", "table"): "failed",
        ("nameless", "nameless", "table"): "failed",
        ("images", "images", "directory"): "failed",
        ("steps", "orders", "table"): "failed",
    }
    for job, name in (("no_server", "orders"), ("no_target", "orders"), ("steps", "orders")):
        assert re.search(r"gone.*name another", str(found[job, name, "table"].error))
    assert "max_deletes" in str(found["wrong", "orders", "table"].error)
    assert "'dry_run' is 'maybe'" in str(found["unclear", "orders", "table"].error)
    assert len(target.rows("orders")) == 0


def test_the_unforeseen_is_recorded(
    source: Source, target: Target, history: History, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unexpected error leaves a record, too."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(sync_operator, "run", broken)
    with DAG("recorded_unforeseen", schedule=None) as dag:
        TableSyncOperator(task_id="tables", tables="orders", target_conn_id="target")
    run_dag(dag)
    (sync,) = history.syncs()
    assert sync.latest.report.error == ("An unexpected error, ZeroDivisionError: by zero. The task's log shows where.")


def test_a_dry_run_is_not_recorded(source: Source, target: Target, history: History, tmp_path: Path) -> None:
    """A dry run leaves no record, failed or not."""
    run("looked_at", tmp_path, dry_run=True)
    assert history.syncs() == []


def test_a_history_out_of_reach_fails_no_task(
    source: Source, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task succeeds although its record cannot be written."""
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", f"sqlite:///{tmp_path}/no/such/folder/history.db")
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY_DAYS", "ninety")
    ended = run("unrecorded", tmp_path)
    assert task_states(ended)["tables"] == "success"
    assert len(target.rows("orders")) == 3


def test_its_place_may_be_a_connection(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """The history may be in the database of an Airflow connection."""
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", "airflow://target")
    assert open_airflow_history().syncs() == []
    target.execute("SELECT count(*) FROM sync_history")
