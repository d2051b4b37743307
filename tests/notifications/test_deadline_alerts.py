"""A deadline that a run misses, in a real Airflow: scheduler and triggerer call the notifier back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.airflow_stack import TRIGGERER, AirflowStack
from tests.notifications.webhook import Webhook
from tests.source_server import TOKEN, Source, Target

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAG = "missed_deadline"
FILE = f"""
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_sync.notifications.sync_report import SyncReportNotifier
from airflow_provider_sync.operators.table_sync import TableSyncOperator

deadline = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=SECONDS),
    callback=AsyncCallback(SyncReportNotifier, {{"conn_id": "deadline_chat"}}),
)
with DAG("{DAG}", schedule=None, deadline=deadline):
    first = TableSyncOperator(
        task_id="first", tables="orders", target_conn_id="deadline_target", sync_conn_id="deadline_source"
    )

    @task.sensor(poke_interval=1, timeout=300)
    def released():
        return Path("FLAG").exists()

    first >> released()
"""


def test_a_missed_deadline(airflow_stack: AirflowStack, source: Source, target: Target, sqlite_url: str, tmp_path: Path) -> None:
    """While the run is still busy, the webhook gets what it synced so far, and that it is late."""
    flag = tmp_path / "released"
    airflow_stack.set_connection("deadline_source", conn_type="sync", host=source.url, password=TOKEN)
    airflow_stack.set_connection("deadline_target", conn_type="sqlite", host=sqlite_url.removeprefix("sqlite:///"))
    with Webhook() as webhook:
        airflow_stack.set_connection("deadline_chat", **webhook.connection)
        airflow_stack.start(TRIGGERER)
        try:
            airflow_stack.add_dags("missed_deadline.py", FILE.replace("FLAG", str(flag)).replace("SECONDS", "20"), DAG)
            run_id = airflow_stack.trigger(DAG)
            airflow_stack.wait_until(lambda: webhook.texts, "the message", seconds=180)
            flag.touch()
            airflow_stack.wait_for_run(DAG, run_id)
        finally:
            airflow_stack.stop(TRIGGERER)
    (text,) = webhook.texts
    assert text.startswith(f"{DAG}: 1 changed\n\nRun {run_id} missed its deadline, ")
    assert "orders  changed" in text
