"""Tasks that a real Airflow ends: by hand in its user interface, and because their time is over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy import make_url

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.airflow_stack import AirflowStack
from tests.stuck_target import NEW, OLD, StuckTarget, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

# The supervisor hears of it with its next heartbeat, and kills what has not ended five seconds after SIGTERM.
SECONDS = 60
FILE = """
from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup

table = {"tables": "t", "sync_conn_id": "killed_source", "target_conn_id": "killed_target"}
with DAG("killed_by_hand", schedule=None):
    TableSyncOperator(task_id="sync", **table)
with DAG("killed_in_time", schedule=None):
    TableSyncOperator(task_id="sync", execution_timeout=timedelta(seconds=30), **table)
with DAG("killed_step", schedule=None):
    TableSyncGroup("steps", **table)
with DAG("killed_files", schedule=None):
    FileSyncOperator(task_id="sync", directories="images", path="FOLDER", sync_conn_id="killed_silent")
"""
DAGS = ("killed_by_hand", "killed_in_time", "killed_step", "killed_files")


@pytest.fixture(scope="module")
def dags(airflow_stack: AirflowStack, tmp_path_factory: pytest.TempPathFactory) -> AirflowStack:
    """Give an Airflow that has the DAGs."""
    folder = tmp_path_factory.mktemp("killed")
    airflow_stack.add_dags("killed.py", FILE.replace("FOLDER", str(folder)), *DAGS)
    return airflow_stack


@pytest.fixture
def target(dags: AirflowStack, mariadb_url: str, tmp_path: Path) -> Iterator[StuckTarget]:
    """Give a target of which every merge is stuck, connections to it and to its source."""
    stuck = StuckTarget(mariadb_url, tmp_path)
    url = make_url(mariadb_url)
    extra = '{"unix_socket": "%s"}' % url.query["unix_socket"] if "unix_socket" in url.query else None  # noqa: UP031
    fields: dict[str, Any] = {"host": url.host, "port": url.port, "login": url.username, "password": url.password}
    dags.set_connection("killed_target", conn_type="mysql", schema=url.database, extra=extra, **fields)
    offered = {"connections": {"source": stuck.source_url}, "tables": {"t": {}}}
    with RunningServer(ServerConfig.from_dict(offered)) as server:
        dags.set_connection("killed_source", conn_type="sync", host=server.url)
        yield stuck


def set_failed(dags: AirflowStack, dag_id: str, run_id: str, task_id: str) -> None:
    """Mark a running task as failed, as somebody does in the user interface."""
    dags.api("PATCH", f"/dags/{dag_id}/dagRuns/{quote(run_id)}/taskInstances/{task_id}", {"new_state": "failed"})


def ends_in_order(dags: AirflowStack, dag_id: str, run_id: str, task: str) -> None:
    """Check that a task was ended by its own hand, and said so in its log."""
    until(lambda: "ended from outside" in dags.log_of(dag_id, run_id, task), SECONDS)


@pytest.mark.parametrize(("dag_id", "task"), [("killed_by_hand", "sync"), ("killed_step", "steps.merge")])
def test_killed_by_hand(dags: AirflowStack, target: StuckTarget, dag_id: str, task: str) -> None:
    """A task that is marked failed ends its statement; the target is as it was, and the next run finds no lock."""
    run_id = dags.trigger(dag_id)
    until(target.is_merging, 120)
    set_failed(dags, dag_id, run_id, task)
    until(lambda: not target.is_merging(), SECONDS)
    ends_in_order(dags, dag_id, run_id, task)
    assert target.rows() == OLD
    assert dags.wait_for_run(dag_id, run_id) == "failed"
    target.free()
    dags.run(dag_id)
    assert target.rows() == NEW


def test_out_of_time(dags: AirflowStack, target: StuckTarget) -> None:
    """A task whose execution_timeout is over ends its statement; the target is as it was, and the next run finds no lock."""
    run_id = dags.trigger("killed_in_time")
    until(target.is_merging, 120)
    assert dags.wait_for_run("killed_in_time", run_id) == "failed"
    assert "AirflowTaskTimeout" in dags.log_of("killed_in_time", run_id, "sync")
    assert not target.is_merging()
    assert target.rows() == OLD
    target.free()
    dags.run("killed_in_time")
    assert target.rows() == NEW
    assert target.other_tables() == []


def test_a_request_is_ended(dags: AirflowStack) -> None:
    """A task that waits for a silent server ends as soon as it is marked failed."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(120)
        dags.set_connection("killed_silent", conn_type="sync", host=f"http://127.0.0.1:{silent.getsockname()[1]}")
        run_id = dags.trigger("killed_files")
        asked, _ = silent.accept()
        with asked:
            assert asked.recv(65536)
            set_failed(dags, "killed_files", run_id, "sync")
            ends_in_order(dags, "killed_files", run_id, "sync")
            asked.settimeout(SECONDS)
            while asked.recv(65536):
                pass
