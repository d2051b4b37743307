"""``TableChangedSensor`` against a real server and real databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException, AirflowSkipException
from structlog.testing import capture_logs

from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.sensors.table_changed import TableChangedSensor
from tests.airflow_runs import run_dag, task_states
from tests.server_thread import Silent, serving
from tests.source_server import Source, Target


def poke(**arguments: Any) -> bool:
    """Ask once, outside a DAG."""
    return TableChangedSensor(task_id="changed", **{"target_conn_id": "target", "table": "orders", **arguments}).poke({})


def sync() -> None:
    """Make the target equal to the source."""
    TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target").execute({})


def test_every_engine(source: Source, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that differs is seen on every engine."""
    target = Target(database_url, monkeypatch)
    assert poke(when_unchanged="wait") is True
    assert target.rows("orders") == []


@pytest.mark.parametrize("when_unchanged", ["skip", "wait"])
def test_difference(source: Source, target: Target, when_unchanged: str) -> None:
    """A difference on either side is found, for both values of ``when_unchanged``."""
    sync()
    source.execute("UPDATE orders SET name = 'd' WHERE id = 2")
    assert poke(when_unchanged=when_unchanged) is True
    sync()
    target.execute("DELETE FROM orders WHERE id = 2")
    assert poke(when_unchanged=when_unchanged) is True


def test_skip(source: Source, target: Target) -> None:
    """Without a difference, the task is skipped at the first comparison, by default."""
    sync()
    with pytest.raises(AirflowSkipException, match="equal"):
        poke()


def test_wait(source: Source, target: Target) -> None:
    """With ``when_unchanged="wait"``, the sensor waits for a difference."""
    sync()
    assert poke(when_unchanged="wait") is False


@pytest.mark.parametrize("option", ["soft_fail", "never_fail"])
def test_the_reason_of_a_soft_failure(source: Source, target: Target, option: str) -> None:
    """The log of a sensor that is skipped instead of failing has the reason, because Airflow does not log it."""
    sensor = TableChangedSensor(task_id="changed", table="prices", target_conn_id="target", **{option: True})
    with capture_logs() as logs, pytest.raises(AirflowSkipException, match=option):
        sensor.execute({})
    assert "does not offer a table 'prices'" in str(logs)


def test_empty_tables(source: Source, target: Target) -> None:
    """Two empty tables are equal."""
    source.execute("DELETE FROM orders")
    assert poke(when_unchanged="wait") is False


def test_options(source: Source, target: Target) -> None:
    """The target's own names of the table and its columns are respected."""
    sync()
    target.execute("ALTER TABLE orders RENAME COLUMN name TO title")
    target.execute("ALTER TABLE orders RENAME TO copies")
    assert poke(table={"orders": {"table": "copies"}}, renames='{"name": "title"}', when_unchanged="wait") is False


@pytest.mark.parametrize("mode", ["poke", "reschedule"])
def test_modes(source: Source, target: Target, mode: str) -> None:
    """In both modes, the sensor succeeds on a difference, and is skipped without one."""
    with DAG(f"table_sensor_{mode}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        changed = TableChangedSensor(
            task_id="changed", table="{{ 'orders' }}", target_conn_id="target", mode=mode, when_unchanged="skip"
        )
        changed >> TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target")
    assert task_states(run_dag(dag)) == {"changed": "success", "sync": "success"}
    assert task_states(run_dag(dag)) == {"changed": "skipped", "sync": "skipped"}


def test_reschedule(source: Source, target: Target) -> None:
    """A sensor that waits in mode reschedule releases its slot."""
    sync()
    with DAG("table_sensor_waits", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        TableChangedSensor(
            task_id="changed", table="orders", target_conn_id="target", mode="reschedule", when_unchanged="wait", timeout=0
        )
    assert task_states(run_dag(dag)) == {"changed": "failed"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"table": ""}, "'table' rendered to ''"),
        ({"table": ["orders", "customers"]}, "'table' names 2 tables"),
        ({"target_conn_id": None}, "'target_conn_id' is empty"),
        ({"when_unchanged": "sleep"}, "'when_unchanged' is 'sleep'"),
        ({"table": "nothing"}, "nothing"),
    ],
)
def test_wrong_arguments(source: Source, target: Target, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, naming it."""
    with pytest.raises(AirflowFailException, match=message):
        poke(**arguments)


def test_no_server(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server does not answer, the task keeps its retries."""
    nowhere = json.dumps({"conn_type": "sync", "host": "http://127.0.0.1:1", "extra": {"retries": 0}})
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", nowhere)
    with pytest.raises(AirflowException) as caught:
        poke()
    assert not isinstance(caught.value, AirflowFailException)


def test_server_that_cannot_hash(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that the server cannot hash counts as changed, with a warning."""
    server = HTTPServer(("127.0.0.1", 0), NoHashes)
    with serving(server), capture_logs() as events:
        fields = {"conn_type": "sync", "host": f"http://127.0.0.1:{server.server_port}", "extra": {"retries": 0}}
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps(fields))
        assert poke(when_unchanged="wait") is True
    assert [event["log_level"] for event in events if "cannot hash table 'orders'" in event["event"]] == ["warning"]


@pytest.mark.parametrize(("capabilities", "hashes"), [(503, 500), (500, 500), (429, 500), (404, 503), (404, 502)])
def test_no_answer_about_the_table(target: Target, monkeypatch: pytest.MonkeyPatch, capabilities: int, hashes: int) -> None:
    """If a server is overloaded or restarts, the task keeps its retries, and the table does not count as changed."""
    handler = type("Overloaded", (NoHashes,), {"capabilities": capabilities, "hashes": hashes})
    server = HTTPServer(("127.0.0.1", 0), handler)
    with serving(server):
        fields = {"conn_type": "sync", "host": f"http://127.0.0.1:{server.server_port}", "extra": {"retries": 0}}
        monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", json.dumps(fields))
        with pytest.raises(AirflowException, match=str(hashes if capabilities == 404 else capabilities)) as caught:
            poke(when_unchanged="wait")
    assert not isinstance(caught.value, AirflowFailException)


class NoHashes(Silent, BaseHTTPRequestHandler):
    """An existing server beside a database without SHA1."""

    capabilities = 404
    hashes = 500

    def do_GET(self) -> None:
        """Know nothing of version 2."""
        self.send_error(self.capabilities)

    def do_POST(self) -> None:
        """Fail."""
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.hashes)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"message": "Server Error"}')


def test_arguments_are_not_checked_early() -> None:
    """A DAG with templates in every argument can be parsed."""
    sensor = TableChangedSensor(task_id="changed", **dict.fromkeys(TableChangedSensor.template_fields, "{{ x }}"))
    assert {getattr(sensor, name) for name in TableChangedSensor.template_fields} == {"{{ x }}"}


def test_time_zone(source: Source, target: Target) -> None:
    """The sensor's ``time_zone`` overrides the connection's, and a wrong one fails the task at once."""
    sync()
    assert poke(time_zone="+01:00", when_unchanged="wait") is False
    with pytest.raises(AirflowFailException, match="time_zone is 'SYSTEM'"):
        poke(time_zone="SYSTEM")
