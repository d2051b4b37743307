"""A deadline that a run misses, in a real Airflow: scheduler and triggerer call the notifier back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from airflow_provider_sync.history import Origin, open_history
from airflow_provider_sync.report import TableReport
from tests.airflow_stack import TRIGGERER, AirflowStack
from tests.notifications.webhook import Webhook

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAG = "missed_deadline"
FILE = f"""
from datetime import timedelta
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG, task
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference

from airflow_provider_sync.notifications.sync_report import SyncReportNotifier

deadline = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(seconds=10),
    callback=AsyncCallback(SyncReportNotifier, {{"conn_id": "deadline_chat"}}),
)
with DAG("{DAG}", schedule=None, deadline=deadline):

    @task.sensor(poke_interval=1, timeout=300)
    def released():
        return Path("FLAG").exists()

    released()
"""


def test_a_missed_deadline(airflow_stack: AirflowStack, tmp_path: Path) -> None:
    """While the run is still busy, the webhook gets its reports so far, and that it is late."""
    flag = tmp_path / "released"
    with Webhook() as webhook:
        airflow_stack.set_connection("deadline_chat", **webhook.connection)
        airflow_stack.start(TRIGGERER)
        try:
            airflow_stack.add_dags("missed_deadline.py", FILE.replace("FLAG", str(flag)), DAG)
            run_id = airflow_stack.trigger(DAG)
            # As a task of the run would, however busy this machine is.
            origin = Origin(source="task", dag_id=DAG, run_id=run_id, task_id="first")
            history = open_history(f"sqlite:///{airflow_stack.home / 'sync-history.db'}")
            soon = datetime.now(UTC) + timedelta(minutes=5)
            history.record([TableReport(name="orders", status="changed", rows_inserted=3)], origin, finished=soon)
            airflow_stack.wait_until(lambda: webhook.texts, "the message", seconds=180)
            flag.touch()
            airflow_stack.wait_for_run(DAG, run_id)
        finally:
            airflow_stack.stop(TRIGGERER)
    (text,) = webhook.texts
    assert text.startswith(f"{DAG}: 1 changed\n\nRun {run_id} missed its deadline, ")
    assert "orders  changed" in text
