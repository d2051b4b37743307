"""``TableSyncGroup``: compare, download and merge as tasks, against a real server and real databases."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowSkipException, Asset, task

from airflow_provider_sync.assets import create_asset
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.operators.table_sync import TableCompareOperator, TableDownloadOperator, TableMergeOperator
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup
from tests.airflow_runs import asset_events, run_dag, task_states
from tests.source_server import ROWS, Source, Target

MANY = [(key, f"name {key}", "1.00") for key in range(1, 401)]


def states_of(run: Any) -> dict[str, list[str]]:
    """Return how the instances of each task ended."""
    found: dict[str, list[str]] = {}
    for instance in run.get_task_instances():
        found.setdefault(instance.task_id, []).append(str(instance.state))
    return found


def result_of(run: Any, task_id: str) -> Any:
    """Return what a task returned."""
    (instance,) = [instance for instance in run.get_task_instances() if instance.task_id == task_id]
    return instance.xcom_pull(task_ids=task_id)


def fill(source: Source) -> None:
    """Give the source enough rows for several slices."""
    values = ", ".join(f"({key}, '{name}', '{amount}')" for key, name, amount in MANY)
    source.execute("DELETE FROM orders")
    source.execute(f"INSERT INTO orders VALUES {values}")


def test_mapped(source: Source, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On any engine, a table arrives through mapped downloads; without differences, all tasks are skipped."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 100)
    target = Target(database_url, monkeypatch)
    fill(source)
    with DAG("mapped_steps", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        group = TableSyncGroup(tables="orders", target_conn_id="target", slices=3, outlets=[Asset("copied_orders")])
    assert group.group_id == "sync_orders"
    run = run_dag(dag)
    assert states_of(run) == {
        "sync_orders.compare": ["success"],
        "sync_orders.download": ["success"] * 3,
        "sync_orders.merge": ["success"],
    }
    assert target.rows("orders") == MANY
    (report,) = result_of(run, "sync_orders.merge")
    assert (report["status"], report["rows_inserted"], report["verified"]) == ("changed", 400, "digest")
    again = task_states(run_dag(dag))
    assert {again[f"sync_orders.{step}"] for step in ("compare", "download", "merge")} == {"skipped"}


@pytest.mark.parametrize("slices", [1, 3])
def test_an_empty_table_is_made(source: Source, target: Target, slices: int) -> None:
    """If a comparison only creates an empty table, its outlets have an event, and the other steps are skipped."""
    source.execute("DELETE FROM orders")
    target.execute("DROP TABLE orders")
    orders, customers = (create_asset(url=source.url, table=name) for name in ("orders", "customers"))
    with DAG(f"empty_steps_{slices}", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        arguments: dict[str, Any] = {"target_conn_id": "target", "create_table": True, "slices": slices}
        TableSyncGroup("copy", tables="orders", outlets=[orders, customers, Asset("copies")], **arguments)
    run = run_dag(dag)
    assert states_of(run) == {"copy.compare": ["success"], "copy.download": ["skipped"], "copy.merge": ["skipped"]}
    assert target.rows("orders") == []
    made = ["make table 'orders'"]
    found = {uri: [report["schema_changes"] for report in extra["reports"]] for uri, extra in asset_events(run).items()}
    assert found == {orders.uri: [made], Asset("copies").uri: [made]}
    again = run_dag(dag)
    assert set(task_states(again).values()) == {"skipped"}
    assert asset_events(again) == {}


def test_an_empty_table_beside_others(source: Source, target: Target) -> None:
    """The asset of a created empty table has its event at once; assets of all tables have theirs at the end."""
    source.execute("DELETE FROM orders")
    target.execute("DROP TABLE orders")
    orders, customers = (create_asset(url=source.url, table=name) for name in ("orders", "customers"))
    with DAG("empty_beside_others", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        arguments: dict[str, Any] = {"target_conn_id": "target", "create_table": True, "slices": 1}
        TableSyncGroup("copy", tables=["orders", "customers"], outlets=[orders, customers, Asset("both")], **arguments)
    found = {uri: [report["name"] for report in extra["reports"]] for uri, extra in asset_events(run_dag(dag)).items()}
    assert found == {orders.uri: ["orders"], customers.uri: ["customers"], Asset("both").uri: ["customers"]}


def test_several_tables_without_mapping(source: Source, target: Target) -> None:
    """Several tables share the tasks, and ``slices=1`` maps none; options hold for all steps."""
    target.execute("ALTER TABLE customers RENAME COLUMN name TO title")
    with DAG("single_steps", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC), params={"conn": "target"}) as dag:
        TableSyncGroup(
            "copy",
            tables={"orders": {}, "customers": {"renames": {"name": "title"}}},
            target_conn_id="{{ params.conn }}",
            slices=1,
            prefix_group_id=False,
            retries=0,
        )
    run = run_dag(dag)
    assert states_of(run) == {"compare": ["success"], "download": ["success"], "merge": ["success"]}
    assert [report["rows_inserted"] for report in result_of(run, "merge")] == [3, 1]
    target.execute("ALTER TABLE customers RENAME COLUMN title TO name")
    assert (target.rows("orders"), target.rows("customers")) == (ROWS["orders"], ROWS["customers"])


def test_step_arguments() -> None:
    """Each step may have its own arguments, in addition to those of all steps; an unknown step is refused."""
    with DAG("own_arguments", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):
        own = {"download": {"queue": "downloads", "pool": "few"}, "merge": {"retries": 7}}
        group = TableSyncGroup(tables="orders", queue="all", step_arguments=own)
        queues = [group.compare.queue, group.download.queue, group.merge.queue]
        assert queues == ["all", "downloads", "all"]
        assert (group.download.pool, group.merge.retries, group.compare.retries) == ("few", 7, 0)
        with pytest.raises(ConfigurationError, match="names upload"):
            TableSyncGroup("other", tables="orders", step_arguments={"upload": {}})


def test_steps_alone(source: Source, target: Target) -> None:
    """Each step is a separate operator, and its results are all that the next one needs."""
    arguments: dict[str, Any] = {"tables": "orders", "target_conn_id": "target"}
    slices = TableCompareOperator(task_id="compare", **arguments).execute({})
    staged = TableDownloadOperator(task_id="download", table_slice=slices[0], **arguments).execute({})
    assert target.rows("orders") == []
    planned = TableMergeOperator(task_id="merge", slices=staged, dry_run=True, **arguments)
    (report,) = planned.execute({})
    assert (report["status"], report["rows_inserted"]) == ("planned", 3)
    assert target.rows("orders") == []
    slices = TableCompareOperator(task_id="compare", **arguments).execute({})
    staged = TableDownloadOperator(task_id="download", table_slice=slices, **arguments).execute({})
    assert TableMergeOperator(task_id="merge", slices=[staged], **arguments).execute({})[0]["rows_inserted"] == 3
    assert target.rows("orders") == ROWS["orders"]
    with pytest.raises(AirflowSkipException, match="up to date"):
        TableCompareOperator(task_id="compare", **arguments).execute({})


def test_a_download_is_missing(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge without the result of a download fails, says what to do, and writes nothing; with all results it succeeds."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 100)
    fill(source)
    arguments: dict[str, Any] = {"tables": "orders", "target_conn_id": "target"}
    first, *others = TableCompareOperator(task_id="compare", slices=3, **arguments).execute({})
    staged = [TableDownloadOperator(task_id="download", table_slice=first, **arguments).execute({})]
    with pytest.raises(AirflowFailException, match="Only 1 of 3 downloads"):
        TableMergeOperator(task_id="merge", slices=staged, **arguments).execute({})
    assert target.rows("orders") == []
    staged += [TableDownloadOperator(task_id="download", table_slice=entry, **arguments).execute({}) for entry in others]
    TableMergeOperator(task_id="merge", slices=staged, **arguments).execute({})
    assert target.rows("orders") == MANY


def test_results_of_an_earlier_attempt(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Results of an earlier comparison with more slices, which Airflow keeps, do not stop the merge."""
    monkeypatch.setattr(batch_sizes, "TASK_ROWS", 100)
    fill(source)
    arguments: dict[str, Any] = {"tables": "orders", "target_conn_id": "target"}

    def staged_by(attempt: int, slices: int) -> list[Any]:
        instance = SimpleNamespace(dag_id="d", run_id="r", task_id="g.compare", map_index=-1, try_number=attempt)
        context: Any = {"ti": instance}
        found = TableCompareOperator(task_id="compare", slices=slices, **arguments).execute(context)
        return [TableDownloadOperator(task_id="download", table_slice=entry, **arguments).execute({}) for entry in found]

    earlier = staged_by(1, 3)
    staged = [*staged_by(2, 2), *earlier[2:]]
    (report,) = TableMergeOperator(task_id="merge", slices=staged, **arguments).execute({})
    assert report["rows_inserted"] == 400
    assert target.rows("orders") == MANY


def test_two_comparisons_of_different_attempts(source: Source, target: Target) -> None:
    """A merge accepts slices of two comparisons, one of them retried, and needs the downloads of each."""

    def staged_by(table: str, attempt: int) -> list[dict[str, Any]]:
        instance = SimpleNamespace(dag_id="d", run_id="r", task_id=f"{table}.compare", map_index=-1, try_number=attempt)
        context: Any = {"ti": instance}
        arguments: dict[str, Any] = {"tables": table, "target_conn_id": "target"}
        slices = TableCompareOperator(task_id="compare", **arguments).execute(context)
        return list(TableDownloadOperator(task_id="download", table_slice=slices, **arguments).execute({}))

    staged = [staged_by("orders", 1), staged_by("customers", 2)]
    merge = TableMergeOperator(task_id="merge", tables=["orders", "customers"], target_conn_id="target", slices=staged)
    assert [report["rows_inserted"] for report in merge.execute({})] == [len(ROWS["orders"]), len(ROWS["customers"])]


@pytest.mark.parametrize("slices", [1, 2])
def test_trigger_rule(source: Source, target: Target, slices: int) -> None:
    """A group with a trigger rule runs after a skipped task; without differences, all its steps are skipped."""
    with DAG(f"ruled_{slices}", schedule=None, default_args={"trigger_rule": "all_done"}) as dag:

        @task
        def before() -> None:
            raise AirflowSkipException

        group = TableSyncGroup(tables="orders", target_conn_id="target", slices=slices, trigger_rule="none_failed")
        before() >> group
    assert [step.trigger_rule for step in (group.compare, group.download, group.merge)] == ["none_failed", *["all_success"] * 2]
    steps = {f"sync_orders.{step}" for step in ("compare", "download", "merge")}
    assert states_of(run_dag(dag)) == {"before": ["skipped"], **{step: ["success"] for step in steps}}
    assert states_of(run_dag(dag)) == {"before": ["skipped"], **{step: ["skipped"] for step in steps}}
    assert target.rows("orders") == ROWS["orders"]


def test_guard(source: Source, target: Target) -> None:
    """A guard fails the merge at once, and nothing is written."""
    arguments: dict[str, Any] = {"tables": "orders", "target_conn_id": "target"}
    target.execute("INSERT INTO orders VALUES (7, 'x', '1.00')")
    source.execute("DELETE FROM orders")
    slices = TableCompareOperator(task_id="compare", **arguments).execute({})
    staged = TableDownloadOperator(task_id="download", table_slice=slices, **arguments).execute({})
    with pytest.raises(AirflowFailException, match="allow_empty_source"):
        TableMergeOperator(task_id="merge", slices=staged, **arguments).execute({})
    assert target.rows("orders") == [(7, "x", "1.00")]


@pytest.mark.parametrize(
    ("operator", "arguments", "message"),
    [
        (TableCompareOperator, {"slices": 0}, "'slices' is 0"),
        (TableCompareOperator, {"slices": "many"}, "'slices' is 'many'"),
        (TableCompareOperator, {"tables": ""}, "'tables' rendered to ''"),
        (TableDownloadOperator, {"table_slice": 7}, "output of the step before"),
        (TableDownloadOperator, {"table_slice": {"table": "orders"}}, "not what the step before returns"),
        (TableMergeOperator, {"slices": None}, "'slices' is empty"),
        (TableDownloadOperator, {"table_slice": {"table": "x", "run": "r", "protocol": 2}}, "'tables' does not"),
    ],
)
def test_wrong_arguments(source: Source, target: Target, operator: Any, arguments: dict[str, Any], message: str) -> None:
    """A wrong argument fails the task at once, naming it, and nothing is written."""
    with pytest.raises(AirflowFailException, match=message):
        operator(task_id="step", **{"tables": "orders", "target_conn_id": "target", **arguments}).execute({})
    assert target.rows("orders") == []


def test_patterns(source: Source, target: Target) -> None:
    """Only the first step asks the server which tables a pattern matches; it passes the names to the others."""
    target.execute("CREATE TABLE cold (id INTEGER PRIMARY KEY)")
    with DAG("pattern_steps", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        TableSyncGroup("parts", tables={"c*": {"exclude": ["customers"]}, "orders": {}}, target_conn_id="target", slices=4)
    run = run_dag(dag)
    assert {states[0] for states in states_of(run).values()} == {"success"}
    assert [report["name"] for report in result_of(run, "parts.merge")] == ["orders", "countries"]
    assert {name: target.rows(name) for name in ROWS} == {**ROWS, "customers": []}


@pytest.mark.parametrize(
    ("then", "option"),
    [
        ({"window": ["id", "1", "2"]}, "window"),
        ({"columns": ["id", "name"]}, "columns"),
        ({"renames": {"name": "amount", "amount": "name"}}, "renames"),
        ({"mode": "append"}, "mode"),
        ({"table": "customers"}, "table"),
        ({"target_conn_id": "elsewhere"}, "the connection"),
        ({"sync_conn_id": "other"}, "the server"),
    ],
)
def test_changed_between_steps(
    source: Source, target: Target, monkeypatch: pytest.MonkeyPatch, then: dict[str, Any], option: str
) -> None:
    """An option that decides which rows are synced may not change between steps; the error names it."""
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", '{"conn_type": "sync", "host": "http://other.example"}')
    arguments: dict[str, Any] = {"tables": "orders", "target_conn_id": "target"}
    changed = {**arguments, **then}
    slices = TableCompareOperator(task_id="compare", **arguments).execute({})
    message = f"'orders': {option} is not what it was"
    with pytest.raises(AirflowFailException, match=message):
        TableDownloadOperator(task_id="download", table_slice=slices, **changed).execute({})
    staged = TableDownloadOperator(task_id="download", table_slice=slices, **arguments).execute({})
    with pytest.raises(AirflowFailException, match=message):
        TableMergeOperator(task_id="merge", slices=staged, **changed).execute({})
    assert (target.rows("orders"), target.rows("customers")) == ([], [])
    # Guards and the like may: a failed merge is tried again with other ones.
    TableMergeOperator(task_id="merge", slices=staged, max_deletes=7, verify=False, **arguments).execute({})
    assert target.rows("orders") == ROWS["orders"]
