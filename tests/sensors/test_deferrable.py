"""Both sensors deferrable, against a real server; DAGs run their triggers in line."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    TaskDeferred,
)

from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.sensors.files_changed import FilesChangedSensor
from airflow_provider_sync.sensors.table_changed import TableChangedSensor
from airflow_provider_sync.triggers import polls
from airflow_provider_sync.triggers.source_moved import SourceMovedTrigger
from tests.airflow_runs import in_any_process, run_dag, task_states
from tests.source_server import Source, Target

NEWS = {"digest": "another", "error": None}


def sensor(**arguments: Any) -> TableChangedSensor:
    """Make a sensor that waits in the triggerer."""
    defaults = {"task_id": "changed", "table": "orders", "target_conn_id": "target", "when_unchanged": "wait", "deferrable": True}
    return TableChangedSensor(**{**defaults, **arguments})


def deferral(waiting: TableChangedSensor | FilesChangedSensor) -> TaskDeferred:
    """Execute a sensor that has to defer."""
    with pytest.raises(TaskDeferred) as caught:
        waiting.execute({})
    return caught.value


@pytest.fixture
def synced(source: Source, target: Target) -> Target:
    """Give a target that is equal to the source."""
    TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target").execute({})
    return target


@pytest.fixture
def change_before_second_poll(source: Source, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Change the source when it is polled for the second time, as if somebody else did; give the digests that were polled."""
    polled: list[str] = []
    source_digest = polls.source_digest

    def changing(client: Any, watched: Any, *, known: str | None) -> str:
        if len(polled) == 1:
            source.execute("DELETE FROM orders WHERE id = 1")
            source.write("images", "one.txt", "another")
        polled.append(source_digest(client, watched, known=known))
        return polled[-1]

    monkeypatch.setattr(polls, "source_digest", changing)
    return polled


def test_difference(source: Source, target: Target) -> None:
    """A difference at the first comparison needs no triggerer."""
    sensor().execute({})


def test_skip(synced: Target) -> None:
    """Without a difference, the sensor is skipped at the first comparison, deferrable or not."""
    with pytest.raises(AirflowSkipException, match="equal"):
        sensor(when_unchanged="skip").execute({})


def test_tables_defer(source: Source, synced: Target) -> None:
    """Equal tables are left to the triggerer with plain data: what to watch, and since which digest, but no secrets."""
    deferred = deferral(sensor(columns=["id", "name"], poke_interval=7, timeout=1000))
    assert isinstance(deferred.trigger, SourceMovedTrigger)
    path, arguments = deferred.trigger.serialize()
    known = arguments.pop("known")
    assert path == "airflow_provider_sync.triggers.source_moved.SourceMovedTrigger"
    assert arguments == {
        "sync_conn_id": "sync_default",
        "watched": {
            "kind": "table",
            "table_slice": {"name": "orders", "columns": ["id", "name"]},
        },
        "poll_interval": 7.0,
        "max_seconds": 1800.0,
    }
    source.execute("UPDATE orders SET amount = '99'")
    assert deferral(sensor(columns=["id", "name"])).trigger.serialize()[1]["known"] == known
    assert deferred.method_name == "execute_complete"
    assert 900 < deferred.timeout.total_seconds() <= 1000  # type: ignore[union-attr]


def test_directories_defer(source: Source, tmp_path: Path) -> None:
    """Equal directories are left to the triggerer in the same way, without their target."""
    source.write("images", "2026/one.txt", "x")
    FileSyncOperator(task_id="sync", directories="images", path=tmp_path / "images", prefix="2026").execute({})
    waiting = FilesChangedSensor(
        task_id="changed",
        directory="images",
        path=tmp_path / "images",
        prefix="2026",
        exclude=["*.tmp"],
        when_unchanged="wait",
        deferrable=True,
    )
    arguments = deferral(waiting).trigger.serialize()[1]
    assert arguments["watched"] == {
        "kind": "directory",
        "name": "images",
        "prefix": "2026",
        "include": [],
        "exclude": ["*.tmp"],
    }


@pytest.mark.usefixtures("synced")
def test_a_whole_wait(source: Source, tmp_path: Path, change_before_second_poll: list[str]) -> None:
    """In a DAG, a deferred sensor ends when the source changes, and the next task runs."""
    path = str(tmp_path / "images")
    FileSyncOperator(task_id="sync", directories="images", path=path).execute({})
    waiting = {"when_unchanged": "wait", "deferrable": True, "poke_interval": 0}
    with DAG("deferrable_table_sensor", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as tables:
        changed: Any = TableChangedSensor(task_id="changed", table="{{ 'orders' }}", target_conn_id="target", **waiting)
        changed >> TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target")
    assert task_states(run_dag(tables)) == {"changed": "success", "sync": "success"}
    assert len(change_before_second_poll) == 2
    source.write("images", "one.txt", "one of images")
    change_before_second_poll.clear()
    with DAG("deferrable_files_sensor", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as files:
        changed = FilesChangedSensor(task_id="changed", directory="images", path=path, **waiting)
        changed >> FileSyncOperator(task_id="sync", directories="images", path=path)
    assert task_states(run_dag(files)) == {"changed": "success", "sync": "success"}
    assert len(change_before_second_poll) == 2


def test_an_event_leads_to_another_look(source: Source, synced: Target) -> None:
    """If source and target both changed, the sensor waits again, from the new state and within its time."""
    with pytest.raises(TaskDeferred) as caught:
        sensor(timeout=1000).execute_complete({}, NEWS, started=time.time() - 600)
    assert caught.value.trigger.serialize()[1]["known"] == "another"
    assert 0 < caught.value.timeout.total_seconds() <= 400  # type: ignore[union-attr]
    source.execute("DELETE FROM orders")
    sensor().execute_complete({}, NEWS)


@pytest.mark.usefixtures("synced")
def test_timeout() -> None:
    """After its time, the sensor fails as in the other modes, or is skipped with ``soft_fail``."""
    with pytest.raises(AirflowSensorTimeout, match=r"after 10\.0 seconds"):
        sensor(timeout=10).execute_complete({}, NEWS, started=time.time() - 11)
    with pytest.raises(AirflowSkipException):
        sensor(timeout=10, soft_fail=True).execute_complete({}, NEWS, started=time.time() - 11)


def test_permanent_errors(synced: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A permanent error in the triggerer fails the task at once, with its message."""
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", '{"conn_type": "sync", "host": "http://127.0.0.1:1", "login": "ann"}')
    with pytest.raises(AirflowFailException, match="has a login but no password"):
        sensor().execute_complete({}, {"digest": None, "error": "Connection 'sync_default' has a login but no password."})


@in_any_process
def test_missing_connection(synced: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing connection in the triggerer fails the task at once, too."""
    with pytest.raises(AirflowFailException, match="no connection 'nowhere'"):
        sensor(sync_conn_id="nowhere").execute({})


def test_errors_that_may_pass(synced: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transient error in the triggerer leaves the task its retries; if it is over by then, the task continues."""
    event = {"digest": None, "error": "No answer."}
    with pytest.raises(TaskDeferred):
        sensor().execute_complete({}, event)
    nowhere = '{"conn_type": "sync", "host": "http://127.0.0.1:1", "extra": {"retries": 0}}'
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", nowhere)
    with pytest.raises(AirflowException) as caught:
        sensor().execute_complete({}, event)
    assert not isinstance(caught.value, AirflowFailException)
    assert isinstance(caught.value.__cause__, SyncError)


def test_default() -> None:
    """Sensors wait in their task unless Airflow is configured otherwise."""
    assert TableChangedSensor(task_id="changed", table="orders").deferrable is False
