"""Deferrable sensors that wait while their triggerer is killed, in a real Airflow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.airflow_stack import TRIGGERER, AirflowStack
from tests.source_server import TOKEN, Source, create_table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DAG = "outlived_triggerer"
FILE = f"""
from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.sensors.files_changed import FilesChangedSensor
from airflow_provider_sync.sensors.table_changed import TableChangedSensor

waiting = {{"sync_conn_id": "outlived_source", "when_unchanged": "wait", "deferrable": True, "poke_interval": 1, "timeout": 300}}
target = {{"sync_conn_id": "outlived_source", "target_conn_id": "outlived_target"}}
with DAG("{DAG}", schedule=None):
    TableSyncOperator(task_id="first", tables="orders", **target) >> [
        TableChangedSensor(task_id="table", table="orders", target_conn_id="outlived_target", **waiting),
        FilesChangedSensor(task_id="files", directory="images", path="FOLDER", **waiting),
    ]
"""


def test_a_triggerer_is_killed(airflow_stack: AirflowStack, source: Source, sqlite_url: str) -> None:
    """Sensors wait with the next triggerer, notice a change in between, and succeed once."""
    folder = source.folder / "images"
    database = Path(sqlite_url.removeprefix("sqlite:///"))
    airflow_stack.set_connection("outlived_source", conn_type="sync", host=source.url, password=TOKEN)
    airflow_stack.set_connection("outlived_target", conn_type="sqlite", host=str(database))
    with closing(sqlite3.connect(database)) as target, target:
        target.execute(create_table("orders"))
    copy = source.folder / "copy"
    (copy / "deep").mkdir(parents=True)
    for path in ("one.txt", "deep/two.pdf"):
        (copy / path).write_bytes((folder / path).read_bytes())
    airflow_stack.start(TRIGGERER)
    airflow_stack.add_dags("outlived.py", FILE.replace("FOLDER", str(copy)), DAG)
    run_id = airflow_stack.trigger(DAG)

    def states() -> dict[str, str | None]:
        return airflow_stack.task_states(DAG, run_id)

    deferred = {"first": "success", "table": "deferred", "files": "deferred"}
    airflow_stack.wait_until(lambda: states() == deferred, "both sensors deferred", seconds=120, why=lambda: str(states()))
    airflow_stack.stop(TRIGGERER, kill=True)
    source.execute("DELETE FROM orders WHERE id = 1")
    source.write("images", "three.txt", "new")
    assert states() == deferred
    airflow_stack.start(TRIGGERER)
    try:
        # What a killed triggerer leaves behind is taken over when it has been silent for half a minute.
        assert airflow_stack.wait_for_run(DAG, run_id, seconds=240) == "success"
    finally:
        airflow_stack.stop(TRIGGERER)
    for task in ("table", "files"):
        assert airflow_stack.log_of(DAG, run_id, task).count("Source and target differ") == 1
