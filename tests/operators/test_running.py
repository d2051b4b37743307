"""What the page of syncs can know of a task while it runs."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.history import History, RunningSync, open_history
from airflow_provider_sync.operators import sync_operator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from tests.airflow_runs import run_dag, task_states
from tests.source_server import Source, Target


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Give the history that tasks write."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", url)
    return open_history(url)


def test_a_task(source: Source, target: Target, history: History, monkeypatch: pytest.MonkeyPatch) -> None:
    """A running task is listed with its tables; after its end, also by a failure, it is not."""
    seen: list[RunningSync] = []
    run = sync_operator.run

    def watched(*arguments: Any, **options: Any) -> Any:
        seen.extend(history.running())
        return run(*arguments, **options)

    monkeypatch.setattr(sync_operator, "run", watched)
    with DAG("watched", schedule=None) as dag:
        good = TableSyncOperator(task_id="good", tables=["orders", "customers"], target_conn_id="target")
        good >> TableSyncOperator(task_id="bad", tables="prices", target_conn_id="target")
    assert task_states(run_dag(dag)) == {"good": "success", "bad": "failed"}
    assert [(sync.origin.job_name, [work.name for work in sync.work]) for sync in seen] == [
        ("watched/good", ["orders", "customers"]),
        ("watched/bad", ["prices"]),
    ]
    assert history.running() == []


def test_a_history_out_of_reach(
    source: Source, target: Target, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """If the history cannot be written, the sync continues without it."""
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", f"sqlite:///{tmp_path}/no/folder/h.db")
    with DAG("unwatched", schedule=None) as dag:
        TableSyncOperator(task_id="good", tables="orders", target_conn_id="target")
    with caplog.at_level(logging.DEBUG, "airflow_provider_sync"):
        assert task_states(run_dag(dag)) == {"good": "success"}
    assert "What runs cannot be noted" in caplog.text
