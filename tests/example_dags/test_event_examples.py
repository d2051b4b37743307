"""The examples that react to changes of the source: their tasks in this process, and the watchers under a real triggerer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.triggers import polls
from tests.airflow_runs import run_dag, task_states
from tests.airflow_stack import TRIGGERER, AirflowStack
from tests.example_dags.test_example_dags import EXAMPLES, load
from tests.source_server import ROWS, TOKEN, Source, Target


def warehouse(sqlite_url: str) -> dict[str, str]:
    """Return the fields of the target's connection."""
    return {"conn_type": "sqlite", "host": sqlite_url.removeprefix("sqlite:///")}


@pytest.fixture
def target(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Give the target, under the connection ``warehouse``."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(warehouse(sqlite_url)))
    return Target(sqlite_url, monkeypatch)


def test_events(source: Source, target: Target, tmp_path: Path) -> None:
    """A run syncs the watched table and directory."""
    run = run_dag(load("example_events"), run_conf={"folder": str(tmp_path)})
    assert task_states(run) == {"sync_orders": "success", "sync_invoices": "success"}
    assert target.rows("orders") == ROWS["orders"]
    assert (tmp_path / "invoices" / "deep" / "two.pdf").exists()


def test_deferrable_sensor(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sensor ends at once if the tables differ, and waits in the triggerer for a change if not."""
    dag = load("example_deferrable_sensor")
    assert task_states(run_dag(dag)) == {"orders_changed": "success", "sync_orders": "success"}
    polled = []
    source_digest = polls.source_digest

    def changing(client: Any, watched: Any, *, known: str | None) -> str:
        if polled:
            source.execute("DELETE FROM orders WHERE id = 1")
        polled.append(source_digest(client, watched, known=known))
        return polled[-1]

    monkeypatch.setattr(polls, "source_digest", changing)
    dag.get_task("orders_changed").poke_interval = 0
    assert task_states(run_dag(dag)) == {"orders_changed": "success", "sync_orders": "success"}
    assert len(polled) == 2
    assert target.rows("orders") == ROWS["orders"][1:]


@pytest.fixture
def quick_example(airflow_stack: AirflowStack, source: Source, sqlite_url: str) -> Iterator[AirflowStack]:
    """Give an Airflow in which the example watches the table each second, over connections of its own."""
    airflow_stack.set_connection("sync_events", conn_type="sync", host=source.url, password=TOKEN)
    airflow_stack.set_connection("target_of_events", **warehouse(sqlite_url))
    airflow_stack.start(TRIGGERER)
    text = (EXAMPLES / "example_events.py").read_text()
    changes = {
        "poll_interval=300": "poll_interval=1",
        "(orders | invoices)": "orders",
        '"warehouse"': '"target_of_events"',
        '(table="orders"': '(table="orders", sync_conn_id="sync_events"',
        'tables="orders"': 'tables="orders", sync_conn_id="sync_events"',
        'directories="invoices"': 'directories="invoices", sync_conn_id="sync_events"',
        # Watchers start when the file is parsed while its DAG is not paused.
        "catchup=False,": "catchup=False, is_paused_upon_creation=False,",
        "/srv/sync": str(source.folder / "target"),
    }
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    airflow_stack.add_dags("example_events.py", text, "example_events")
    yield airflow_stack
    # A paused DAG has its assets watched no more, and this source will be gone.
    airflow_stack.api("PATCH", "/dags/example_events", {"is_paused": True})
    airflow_stack.stop(TRIGGERER)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_watchers_of_a_real_triggerer(quick_example: AirflowStack, source: Source, target: Target) -> None:
    """The first state of the source and each change start one run, also a change that comes while the triggerer is down."""

    def wait_for_runs(count: int) -> None:
        # What a triggerer leaves behind is taken over when it has been silent for half a minute.
        quick_example.wait_until(lambda: len(quick_example.runs("example_events")) >= count, f"{count} runs", seconds=180)
        for run in quick_example.runs("example_events"):
            assert quick_example.wait_for_run("example_events", run["dag_run_id"]) == "success"
            assert run["run_type"] == "asset_triggered"
        assert len(quick_example.runs("example_events")) == count

    wait_for_runs(1)
    source.execute("DELETE FROM orders WHERE id = 1")
    wait_for_runs(2)
    quick_example.stop(TRIGGERER)
    source.execute("DELETE FROM orders WHERE id = 2")
    quick_example.start(TRIGGERER)
    wait_for_runs(3)
    assert target.rows("orders") == ROWS["orders"][2:]
