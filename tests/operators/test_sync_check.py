"""``SyncCheckOperator``: copies that differ, or that nobody synced for long."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException, AirflowSkipException

from airflow_provider_sync.history import History, Origin, open_history
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.sync_check import SyncCheckOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.report import DirectoryReport, TableReport
from tests.airflow_runs import run_dag, task_states
from tests.source_server import TOKEN, Source, Target

NIGHTLY = Origin(source="task", dag_id="shop", task_id="nightly")


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """Give the history that tells when syncs ran."""
    url = f"sqlite:///{tmp_path / 'history.db'}"
    monkeypatch.setenv("AIRFLOW__SYNC__HISTORY", url)
    return open_history(url)


@pytest.fixture(params=[1, 2])
def protocol(request: pytest.FixtureRequest, source: Source, monkeypatch: pytest.MonkeyPatch) -> int:
    """Speak each version of the protocol."""
    fields = {"conn_type": "sync", "host": source.url, "password": TOKEN, "extra": {"protocol": str(request.param)}}
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps(fields))
    return int(request.param)


def check(**arguments: Any) -> list[dict[str, Any]]:
    """Check outside a DAG."""
    return SyncCheckOperator(task_id="check", **{"target_conn_id": "target", **arguments}).execute({})


def synced(history: History, hours: float, **record: Any) -> None:
    """Record that ``orders`` was synced some hours ago."""
    report = TableReport(**{"name": "orders", "status": "changed", **record})
    history.record([report], NIGHTLY, finished=datetime.now(UTC) - timedelta(hours=hours))


def test_equal(protocol: int, source: Source, target: Target, tmp_path: Path) -> None:
    """After a sync, the check of tables and directories passes, and the result says so."""
    TableSyncOperator(task_id="t", tables=["orders", "customers"], target_conn_id="target").execute({})
    FileSyncOperator(task_id="f", directories="images", path=str(tmp_path / "images")).execute({})
    states = check(tables=["orders", "customers"], directories="images", path=str(tmp_path / "images"))
    assert [(state["name"], state["differences"], state["problems"]) for state in states] == [
        ("orders", 0, []),
        ("customers", 0, []),
        ("images", 0, []),
    ]


def test_differences(protocol: int, source: Source, target: Target, tmp_path: Path) -> None:
    """The error names tables that differ, and by how much, but no equal ones; nothing is written."""
    TableSyncOperator(task_id="t", tables=["orders", "customers"], target_conn_id="target").execute({})
    source.execute("UPDATE orders SET name = 'z' WHERE id < 3")
    source.execute("DELETE FROM orders WHERE id = 3")
    before = target.rows("orders")
    with pytest.raises(AirflowException) as failure:
        check(tables=["orders", "customers"], directories="images", path=str(tmp_path / "images"))
    assert not isinstance(failure.value, AirflowFailException)
    assert str(failure.value).splitlines() == [
        "Table 'orders' differs from the source (rows: 2 to update, 1 to delete).",
        "Directory 'images' differs from the source (files: 2 to add).",
    ]
    assert target.rows("orders") == before
    assert not list((tmp_path / "images").glob("*"))


def test_soft_fail(source: Source, target: Target) -> None:
    """With ``soft_fail``, also as text, the task is skipped; a server that does not answer still fails it."""
    with pytest.raises(AirflowSkipException, match="3 to insert"):
        check(tables="orders", soft_fail="true")
    with pytest.raises(AirflowFailException, match="prices"):
        check(tables=["orders", "prices"], soft_fail=True)


def test_age(source: Source, history: History) -> None:
    """Only the last success of the same job and kind counts for the age; later failures do not change it."""
    synced(history, 5)
    synced(history, 1, status="failed", error="e")
    history.record([DirectoryReport(name="orders", status="changed")], NIGHTLY)
    (state,) = check(tables="orders", compare=False, max_age="6h")
    assert (round(state["age"] / 3600), state["problems"], state["differences"]) == (5, [], None)
    with pytest.raises(AirflowException, match=r"^Table 'orders' was synced 5 h ago, and may be 2 h old\.$"):
        check(tables="orders", compare=False, max_age=timedelta(hours=2))
    check(tables="orders", compare=False, max_age="6h", job="shop/nightly")
    with pytest.raises(AirflowException, match="'orders' has no recorded sync that succeeded, and may be 6 h old"):
        check(tables="orders", compare=False, max_age="6h", job="shop/hourly")


def test_age_of_patterns(source: Source, history: History) -> None:
    """A pattern is resolved, so a new table that no task syncs is found."""
    synced(history, 0)
    with pytest.raises(AirflowException) as failure:
        check(tables="*", compare=False, max_age=3600)
    assert [line.split()[1] for line in str(failure.value).splitlines()] == ["'customers'", "'countries'"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "Give 'tables' or 'directories'"),
        ({"tables": "orders", "compare": False}, "nothing to check but 'max_age'"),
        ({"tables": "orders", "max_age": "soon"}, "'max_age' is 'soon'. Give a timedelta, seconds, or text such as"),
        ({"tables": "orders", "max_age": "0"}, "'max_age' is '0'"),
        ({"tables": "orders", "max_age": "{{ None }}"}, "max_age"),
        ({"tables": "orders", "max_age": -1}, "'max_age' is -1"),
        ({"tables": "orders", "max_age": timedelta.max}, "at most 36500 days"),
        ({"tables": "orders", "max_age": True}, "'max_age' is True"),
        ({"tables": "orders", "soft_fail": "perhaps"}, "'soft_fail' is 'perhaps'"),
        ({"tables": "orders", "target_conn_id": None}, "has no connection"),
        ({"directories": "images"}, "has no path"),
    ],
)
def test_wrong_arguments(source: Source, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, and the message names it."""
    with pytest.raises(AirflowFailException) as failure:
        check(**arguments)
    assert message in str(failure.value)


def test_in_a_dag(source: Source, target: Target, history: History) -> None:
    """After the sync task, a check of both passes; its arguments are templates."""
    with DAG("checked", schedule=None, params={"hours": 2}) as dag:
        tables = TableSyncOperator(task_id="tables", tables="orders", target_conn_id="target")
        tables >> SyncCheckOperator(
            task_id="check",
            tables="{{ ['orders'] }}",
            target_conn_id="{{ 'target' }}",
            max_age="{{ params.hours * 3600 }}",
            job="{{ dag.dag_id }}/tables",
        )
    run = run_dag(dag)
    assert task_states(run) == {"tables": "success", "check": "success"}
