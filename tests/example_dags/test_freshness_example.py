"""The example that checks copies."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from tests.airflow_runs import run_dag, task_states
from tests.example_dags.test_example_dags import load
from tests.source_server import Source, Target


def test_freshness(source: Source, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check waits for a retry until the first sync, and passes after it."""
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", f"sqlite:///{tmp_path / 'history.db'}")
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", os.environ["AIRFLOW_CONN_TARGET"])
    dag = load("example_freshness")
    dag.get_task("check_shop").retries = 0
    assert task_states(run_dag(dag, run_conf={"folder": str(tmp_path)})) == {"check_shop": "failed"}
    with type(dag)("syncs", schedule=None) as syncs:
        TableSyncOperator(task_id="tables", tables=["orders", "customers"], target_conn_id="target")
        FileSyncOperator(task_id="images", directories="images", path=str(tmp_path / "images"))
    run_dag(syncs)
    assert task_states(run_dag(dag, run_conf={"folder": str(tmp_path)})) == {"check_shop": "success"}
