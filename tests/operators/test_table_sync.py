"""``TableSyncOperator`` against a real server and real databases."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException, AirflowSkipException, task
from structlog.testing import capture_logs

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.time_zones import time_zone_named
from tests.airflow_runs import in_any_process, run_dag, task_states
from tests.client.scripted_server import scripted_server
from tests.source_server import ROWS, TOKEN, Source, Target


def execute(**arguments: Any) -> list[dict[str, Any]]:
    """Run an operator outside a DAG."""
    return TableSyncOperator(task_id="sync", **{"target_conn_id": "target", **arguments}).execute({})


def test_every_engine(source: Source, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A target on any engine, behind an Airflow connection, becomes equal to the source, and then is unchanged."""
    target = Target(database_url, monkeypatch)
    (report,) = execute(tables="orders")
    assert target.rows("orders") == ROWS["orders"]
    assert (report["status"], report["rows_inserted"], report["error"]) == ("changed", 3, None)
    source.execute("DELETE FROM orders WHERE id = 1")
    source.execute("UPDATE orders SET name = 'd' WHERE id = 2")
    (report,) = execute(tables="orders")
    assert target.rows("orders") == [(2, "d", None), (3, "", "-7.00")]
    assert (report["rows_inserted"], report["rows_updated"], report["rows_deleted"]) == (0, 1, 1)


def test_unchanged(source: Source, target: Target) -> None:
    """A table that is up to date is reported as unchanged, and the task succeeds."""
    execute(tables="orders")
    (report,) = execute(tables="orders")
    assert (report["status"], report["rows_received"]) == ("unchanged", 0)


def test_consistent(source: Source, target: Target) -> None:
    """``consistent`` may be text, and its snapshot is used for all tables of the task."""
    assert [report["status"] for report in execute(tables=["orders", "customers"], consistent="true")] == ["changed"] * 2
    assert target.rows("orders") == ROWS["orders"]
    with pytest.raises(AirflowFailException, match="consistent"):
        execute(tables="orders", consistent="perhaps")


def test_reports_are_json(source: Source, target: Target) -> None:
    """The result is one report for each table, in order, and is valid JSON."""
    reports = execute(tables=["orders", "customers"])
    assert [report["name"] for report in reports] == ["orders", "customers"]
    assert json.loads(json.dumps(reports)) == reports


def test_reports_are_logged_once(source: Source, target: Target) -> None:
    """The log has one table with a line for each report."""
    with capture_logs() as events:
        execute(tables=["orders", "customers"])
    (table,) = [event["event"].strip() for event in events if "inserted" in event["event"]]
    assert [line.split()[0] for line in table.splitlines()][2:4] == ["orders", "customers"]


def test_long_work_is_logged(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """While rows arrive, the log reports their number from time to time."""
    monkeypatch.setattr("airflow_provider_sync.operators.sync_operator.SECONDS_BETWEEN_LINES", 0.0)
    with capture_logs() as events:
        execute(tables="orders")
    assert "orders: 3 of 3 rows" in [event["event"] for event in events]


def test_secrets_are_not_logged(source: Source, target: Target, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the token nor the content of a row is in the log."""
    with caplog.at_level(logging.DEBUG), capture_logs() as events:
        execute(tables="orders")
    for secret in (TOKEN, "Ärger"):
        assert secret not in caplog.text + str(events)


def test_options_of_tables(source: Source, target: Target) -> None:
    """Options of an entry override those of the operator."""
    target.execute("ALTER TABLE customers RENAME COLUMN name TO title")
    target.execute("ALTER TABLE customers RENAME TO clients")
    execute(tables={"customers": {"table": "clients", "renames": {"name": "title"}}, "orders": None}, columns=["id", "name"])
    assert [row[:2] for row in target.rows("orders")] == [row[:2] for row in ROWS["orders"]]
    target.execute("ALTER TABLE clients RENAME COLUMN title TO name")
    assert target.rows("clients") == [(1, "Ann", None)]


def test_modes(source: Source, target: Target) -> None:
    """A mode and its column names are arguments, or options of an entry; invalid ones fail the task."""
    names = {"mode": "soft_delete", "deleted_at": "gone", "create_table": "true", "table": "marked"}
    (report,) = execute(tables="orders", **names)
    assert (report["status"], report["rows_inserted"]) == ("changed", 3)
    source.execute("DELETE FROM orders WHERE id = 1")
    (report,) = execute(tables={"orders": names})
    assert (report["rows_deleted"], report["verified"]) == (1, "digest")
    assert target.rows("marked") == ROWS["orders"]
    target.execute("DELETE FROM marked WHERE gone IS NULL")
    assert target.rows("marked") == ROWS["orders"][:1]
    with pytest.raises(AirflowFailException, match="deleted_at is for mode soft_delete"):
        execute(tables="orders", mode="history", deleted_at="gone")


def test_tables_of_several_connections(source: Source, target: Target, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry may have its own database."""
    with monkeypatch.context() as patch:
        other = Target(f"sqlite:///{tmp_path}/other.db", patch)
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/other.db"}))
    reports = execute(tables={"orders": {"connection": "other"}, "customers": {}})
    assert {report["name"]: report["status"] for report in reports} == {"orders": "changed", "customers": "changed"}
    assert (other.rows("orders"), other.rows("customers")) == (ROWS["orders"], [])
    assert (target.rows("orders"), target.rows("customers")) == ([], ROWS["customers"])


def test_dry_run(source: Source, target: Target) -> None:
    """A dry run reports what would change, and writes nothing."""
    (report,) = execute(tables="orders", dry_run="True", skip_unchanged=True)
    assert (report["status"], report["rows_inserted"]) == ("planned", 3)
    assert target.rows("orders") == []


def test_skip_when_all_are_unchanged(source: Source, target: Target) -> None:
    """With ``skip_unchanged``, the task is skipped only if every table was up to date."""
    names = ["orders", "customers"]
    execute(tables=names, skip_unchanged=True)
    source.execute("DELETE FROM orders WHERE id = 1")
    assert [report["status"] for report in execute(tables=names, skip_unchanged=True)] == ["changed", "unchanged"]
    with pytest.raises(AirflowSkipException, match="up to date"):
        execute(tables=names, skip_unchanged="true")
    source.execute("DELETE FROM orders")
    (report,) = execute(tables="orders", table="made", create_table=True, skip_unchanged=True)
    assert (report["status"], report["schema_changes"]) == ("changed", ["make table 'made'"])


def test_guard(source: Source, target: Target) -> None:
    """A guard that stops a sync fails the task at once, naming the option, and nothing is written."""
    execute(tables="orders")
    source.execute("DELETE FROM orders")
    with pytest.raises(AirflowFailException, match="allow_empty_source"):
        execute(tables="orders")
    assert target.rows("orders") == ROWS["orders"]
    execute(tables="orders", allow_empty_source="true")
    assert target.rows("orders") == []


def test_a_new_column_of_the_source(source: Source, target: Target) -> None:
    """``on_schema_change`` is a template field, and the result of the task has the added column."""
    source.execute("ALTER TABLE orders ADD COLUMN note VARCHAR(9)")
    with pytest.raises(AirflowFailException, match="on_schema_change to 'add'"):
        execute(tables="orders")
    assert target.rows("orders") == []
    (report,) = execute(tables="orders", on_schema_change="add")
    assert report["schema_changes"] == ["add column 'note' VARCHAR(9)"]
    assert target.rows("orders") == ROWS["orders"]


def test_wrong_token(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong token fails the task at once, and nothing is written."""
    wrong = json.dumps({"conn_type": "sync", "host": source.url, "password": "a-wrong-token"})
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", wrong)
    with pytest.raises(AirflowFailException) as caught:
        execute(tables="orders")
    assert "a-wrong-token" not in str(caught.value)
    assert target.rows("orders") == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param({"tables": "orders", "sync_conn_id": "nowhere"}, "nowhere", marks=in_any_process),
        pytest.param({"tables": "orders", "target_conn_id": "nowhere"}, "nowhere.*name another one", marks=in_any_process),
        ({"tables": "orders", "target_conn_id": "sync_default"}, "'sync_default' has the type 'sync', which is not a database"),
        ({"tables": "orders", "sync_conn_id": "target"}, "The URL of the server is 'https:///.*Give one such as"),
        ({"tables": "missing"}, "'missing'"),
        ({"tables": "orders", "on_schema_change": "guess"}, "on_schema_change .*'fail', 'add', 'ignore' or 'widen'"),
        ({"tables": "orders", "table": "missing"}, "no table 'missing' in the SQLite database. Set create_table"),
    ],
)
def test_what_a_retry_cannot_help(source: Source, target: Target, arguments: dict[str, Any], message: str) -> None:
    """A missing or wrong connection or table fails the task at once; the error names it, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        execute(**arguments)
    assert target.rows("orders") == []


def test_no_server(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the server does not answer, the task keeps its retries."""
    nowhere = json.dumps({"conn_type": "sync", "host": "http://127.0.0.1:1", "extra": {"retries": 0}})
    monkeypatch.setenv("AIRFLOW_CONN_SYNC_DEFAULT", nowhere)
    with pytest.raises(AirflowException) as caught:
        execute(tables="orders")
    assert not isinstance(caught.value, AirflowFailException)


def test_one_transaction_for_all(source: Source, target: Target) -> None:
    """A failing table fails the others, unless each has its own transaction."""
    target.execute("DROP TABLE customers")
    with pytest.raises(AirflowFailException, match="customers"):
        execute(tables=["orders", "customers"])
    assert target.rows("orders") == []
    with pytest.raises(AirflowFailException, match="customers"):
        execute(tables=["orders", "customers"], single_transaction="false")
    assert target.rows("orders") == ROWS["orders"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tables": ""}, "'tables' rendered to ''"),
        ({"tables": []}, "'tables' is empty"),
        ({"tables": "orders", "target_conn_id": None}, "Table 'orders' has no connection"),
        ({"tables": "orders", "target_conn_id": ""}, "'target_conn_id' rendered to ''"),
        ({"tables": "orders", "sync_conn_id": "None"}, "'sync_conn_id' rendered to 'None'"),
        ({"tables": "orders", "dry_run": "maybe"}, "'dry_run' is 'maybe'"),
        ({"tables": "orders", "max_deletes": "half"}, "max_deletes is 'half'"),
        ({"tables": {"orders": {"primary_key": "id"}}}, "primary_key"),
    ],
)
def test_wrong_arguments(target: Target, source: Source, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, naming it, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        execute(**arguments)
    assert target.rows("orders") == []


def test_arguments_are_not_checked_early() -> None:
    """A DAG with templates in every argument can be parsed."""
    fields = set(TableSyncOperator.template_fields) - {"is_dry_run"}
    operator = TableSyncOperator(task_id="sync", dry_run="{{ x }}", **dict.fromkeys(fields, "{{ x }}"))
    assert {getattr(operator, name) for name in TableSyncOperator.template_fields} == {"{{ x }}"}


def test_templates(source: Source, target: Target) -> None:
    """Lists, options, switches and connections may come from templates, XComs and the run's parameters."""
    with DAG("templates", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"limit": 5}) as dag:

        @task
        def names() -> list[str]:
            return ["orders", "customers"]

        listed = names()
        from_text = TableSyncOperator(
            task_id="from_text",
            tables="{{ ti.xcom_pull(task_ids='names') }}",
            target_conn_id="{{ 'tar' }}get",
            max_deletes="{{ params.limit }}",
            single_transaction="{{ true }}",
        )
        from_xcom = TableSyncOperator(task_id="from_xcom", tables=listed, target_conn_id="target", skip_unchanged="{{ true }}")
        nested = TableSyncOperator(
            task_id="nested", tables={"countries": {"columns": ["id", "{{ 'name' }}"]}}, target_conn_id="target"
        )
        undefined = TableSyncOperator(task_id="undefined", tables="{{ params.missing }}", target_conn_id="target")
        listed >> from_text >> from_xcom
    run = run_dag(dag)
    assert task_states(run) == {
        "names": "success",
        "from_text": "success",
        "from_xcom": "skipped",
        "nested": "success",
        "undefined": "failed",
    }
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"], ROWS["customers"])
    assert target.rows("countries") == [(1, "Österreich", None)]
    results = {instance.task_id: instance.xcom_pull(task_ids=instance.task_id) for instance in run.get_task_instances()}
    assert [report["rows_inserted"] for report in results["from_text"]] == [3, 1]
    assert nested.task_id in results
    assert results[undefined.task_id] is None


UNDEFINED = [
    (
        {"window": ["id", "{{ data_interval_start }}", "{{ ds }}"]},
        "'window' uses what this run does not have: 'data_interval_start' is",
    ),
    (
        {"window": "{{ [data_interval_end | ds] }}"},
        "'window' uses .*'data_interval_end' is undefined. A run without a logical date",
    ),
    ({"table": "{{ nonsense.name }}"}, "'table' uses what this run does not have: 'nonsense' is undefined.$"),
]


@pytest.mark.parametrize(("arguments", "message"), UNDEFINED)
def test_undefined_templates(source: Source, target: Target, arguments: dict[str, Any], message: str) -> None:
    """A template with a value that the run lacks fails the task; the error names the argument, and nothing is written."""
    with DAG("undefined", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        operator = TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target", **arguments)
    operator.render_template_fields({})
    with pytest.raises(AirflowFailException, match=message):
        operator.execute({})
    assert target.rows("orders") == []


def test_nothing_is_no_option(source: Source, target: Target) -> None:
    """An argument that another task or a template renders to ``None`` fails the task; it does not count as left out."""
    target.execute("INSERT INTO orders VALUES (9, 'outside of the window', NULL)")
    with DAG("nothing", schedule=None, render_template_as_native_obj=True) as dag:

        @task
        def no_window() -> None:
            """Return nothing."""

        window = no_window()
        options: dict[str, Any] = {"tables": "orders", "target_conn_id": "target"}
        TableSyncOperator(task_id="result", window=window, **options)
        TableSyncOperator(task_id="native", window="{{ ti.xcom_pull(task_ids='no_window') }}", **options).set_upstream(window)
        TableSyncOperator.partial(task_id="mapped", target_conn_id="target", window=window).expand(tables=["orders"])
    states = task_states(run_dag(dag))
    assert states == {"no_window": "success", "result": "failed", "native": "failed", "mapped": "failed"}
    assert target.rows("orders") == [(9, "outside of the window", None)]


def test_undefined_templates_are_not_tried_again(source: Source, target: Target) -> None:
    """A run without a data interval fails at once, with any number of retries, mapped or not."""
    options: dict[str, Any] = {
        "target_conn_id": "target",
        "retries": 3,
        "window": ["id", "{{ data_interval_start }}", "{{ ds }}"],
    }
    with DAG("undefined", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        TableSyncOperator(task_id="plain", tables="orders", **options)
        TableSyncOperator.partial(task_id="mapped", **options).expand(tables=["orders"])
    found = [(entry.task_id, str(entry.state), entry.try_number) for entry in run_dag(dag).get_task_instances()]
    assert sorted(found) == [("mapped", "failed", 1), ("plain", "failed", 1)]


def test_mapped(source: Source, target: Target) -> None:
    """The operator can be mapped over tables."""
    with DAG("mapped", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        TableSyncOperator.partial(task_id="each", target_conn_id="target").expand(tables=["orders", "customers"])
    run = run_dag(dag)
    assert str(run.state) == "success"
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"], ROWS["customers"])


def test_time_zone(source: Source, target: Target) -> None:
    """The operator's ``time_zone`` overrides the connection's, and a wrong one fails the task at once."""
    operator = TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target", time_zone="+01:00")
    assert operator.server().time_zone == "+01:00"
    assert SyncClient.from_config(operator.server()).time_zone == time_zone_named("+01:00")
    with pytest.raises(AirflowFailException, match="time_zone is 'SYSTEM'"):
        execute(tables="orders", time_zone="SYSTEM")


def test_limits(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator and the connection limit time and size; nothing is written, and only a time limit is transient."""
    with scripted_server() as server:
        server.answer(server.silence)
        monkeypatch.setenv("AIRFLOW_CONN_STUCK", json.dumps({"conn_type": "sync", "host": server.url}))
        with pytest.raises(AirflowException, match=r"0\.5 seconds that max_seconds allows") as caught:
            execute(tables={"orders": {"max_seconds": "0.5"}}, max_seconds=60, sync_conn_id="stuck")
        assert not isinstance(caught.value, AirflowFailException)
    small = {"conn_type": "sync", "host": source.url, "password": TOKEN, "extra": {"limits": {"max_rows": 2}}}
    monkeypatch.setenv("AIRFLOW_CONN_SMALL", json.dumps(small))
    with pytest.raises(AirflowFailException, match=r"more than the 2 rows that limits\.max_rows allows"):
        execute(tables="orders", sync_conn_id="small")
    assert target.rows("orders") == []


def test_whole_databases(source: Source, target: Target) -> None:
    """A pattern stands for every table that the server offers when the task runs, except those in `exclude`."""
    reports = execute(tables="*", exclude="['countries']")
    assert [report["name"] for report in reports] == ["orders", "customers"]
    assert (target.rows("orders"), target.rows("countries")) == (ROWS["orders"], [])
    reports = execute(tables={"c*": {"exclude": ["x"]}, "orders": {}}, exclude=["customers"])
    assert {report["name"]: report["status"] for report in reports} == {
        "orders": "unchanged",
        "customers": "unchanged",
        "countries": "changed",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tables": ["orders", "x*"]}, r"The pattern 'x\*' matches no table"),
        ({"tables": "orders", "exclude": ["customers"]}, "'exclude' is for patterns of tables, and 'tables' has none"),
        ({"tables": "*", "table": "copy"}, "table is 'copy'. Give it the wildcards of the pattern"),
    ],
)
def test_patterns_that_cannot_be_meant(source: Source, target: Target, arguments: Any, message: str) -> None:
    """A pattern that matches nothing, or does not fit its options, fails the task at once, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        execute(**arguments)
    assert target.rows("orders") == []
