"""The example DAGs, run as they stand."""

from __future__ import annotations

import os
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from tests.airflow_runs import run_dag, task_states
from tests.airflow_stack import AirflowStack
from tests.server.wire import run_sqlite
from tests.source_server import ROWS, TOKEN, Source, Target, create_table

EXAMPLES = Path(__file__).parents[2] / "example_dags"
DOCS = EXAMPLES.parent / "docs"


def load(name: str) -> Any:
    """Return the DAG in an example, as Airflow would parse it."""
    spec = spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.dag


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("example_*.py")), ids=lambda path: path.stem)
def test_parsing(path: Path) -> None:
    """An example parses without connections, has the name of its file, and closes every section for the docs."""
    assert load(path.stem).dag_id == path.stem
    text = path.read_text()
    assert re.findall(r"\[START (\w+)\]", text) == re.findall(r"\[END (\w+)\]", text) != []


def test_table_sync(source: Source, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run copies the tables, and the second changes nothing."""
    target = Target(sqlite_url, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{sqlite_url.removeprefix("sqlite:///")}"}}')
    target.execute("ALTER TABLE customers RENAME COLUMN name TO customer_name")
    dag = load("example_table_sync")
    assert task_states(run_dag(dag)) == {"orders_changed": "success", "sync_orders": "success", "sync_shop": "success"}
    target.execute("ALTER TABLE customers RENAME COLUMN customer_name TO name")
    assert {name: target.rows(name) for name in ROWS} == ROWS
    target.execute("ALTER TABLE customers RENAME COLUMN name TO customer_name")
    assert task_states(run_dag(dag)) == {"orders_changed": "skipped", "sync_orders": "skipped", "sync_shop": "skipped"}


def test_file_sync(source: Source, tmp_path: Path) -> None:
    """The first run copies the directories, and the second changes nothing."""
    folder = tmp_path / "target"
    dag = load("example_file_sync")
    states = task_states(run_dag(dag, run_conf={"folder": str(folder)}))
    assert states == {"images_changed": "success", "sync_images": "success", "sync_documents": "success"}
    assert (folder / "images" / "one.txt").read_text() == "one of images"
    assert (folder / "invoices" / "deep" / "two.pdf").exists()
    assert not (folder / "invoices" / "one.txt").exists()
    states = task_states(run_dag(dag, run_conf={"folder": str(folder)}))
    assert states == {"images_changed": "skipped", "sync_images": "skipped", "sync_documents": "skipped"}


def test_file_check(source: Source, tmp_path: Path) -> None:
    """A damaged file with the same size and time is repaired."""
    file = tmp_path / "images" / "one.txt"
    dag = load("example_file_check")
    assert task_states(run_dag(dag, run_conf={"folder": str(tmp_path)})) == {"check_images": "success"}
    before = file.stat()
    file.write_text("two of images")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert task_states(run_dag(dag, run_conf={"folder": str(tmp_path)})) == {"check_images": "success"}
    assert file.read_text() == "one of images"


def test_sync_steps(source: Source, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first run copies the table and the files step by step, and the second skips all steps."""
    target = Target(sqlite_url, monkeypatch)
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", f'{{"conn_type": "sqlite", "host": "{sqlite_url.removeprefix("sqlite:///")}"}}')
    folder = tmp_path / "target"
    dag = load("example_sync_steps")
    steps = [f"sync_orders.{step}" for step in ("compare", "download", "merge")]
    steps += [f"sync_images.{step}" for step in ("compare", "download", "delete")]
    assert task_states(run_dag(dag, run_conf={"folder": str(folder)})) == dict.fromkeys(steps, "success")
    assert target.rows("orders") == ROWS["orders"]
    assert (folder / "deep" / "two.pdf").read_text() == "two of images"
    assert task_states(run_dag(dag, run_conf={"folder": str(folder)})) == dict.fromkeys(steps, "skipped")


def test_object_storage(source: Source, bucket: str) -> None:
    """The directories arrive in the bucket, each below its name."""
    assert task_states(run_dag(load("example_object_storage"), run_conf={"bucket": bucket})) == {"sync_to_bucket": "success"}
    with ObjectStoragePath(f"s3://store@{bucket}/mirror/letters/deep/two.pdf").open() as file:
        assert file.read() == "two of letters"
    assert ObjectStoragePath(f"s3://store@{bucket}/mirror/images/one.txt").exists()
    assert ObjectStoragePath(f"s3://store@{bucket}/all/a.txt").exists()


def test_fan_out(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each target gets the tables; a read-only one does not stop the others."""
    dag = load("example_fan_out")
    states = {}
    for name in ("warehouse", "reporting"):
        with monkeypatch.context() as patch:
            states[name] = Target(f"sqlite:///{tmp_path}/{name}.db", patch)
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", f'{{"conn_type": "sqlite", "host": "{tmp_path}/{name}.db"}}')
    states["reporting"].execute("DROP TABLE customers")
    found = {entry.map_index: str(entry.state) for entry in run_dag(dag).get_task_instances()}
    assert found == {0: "success", 1: "failed"}
    assert {name: states["warehouse"].rows(name) for name in ("orders", "customers")} == {
        name: ROWS[name] for name in ("orders", "customers")
    }
    assert states["reporting"].rows("orders") == []
    states["reporting"].execute(create_table("customers"))
    assert str(run_dag(dag).state) == "success"
    assert states["reporting"].rows("customers") == ROWS["customers"]


def test_whole_database(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table arrives, and each listed table has a task."""
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", os.environ["AIRFLOW_CONN_TARGET"])
    target.execute("DROP TABLE countries")
    states = [(entry.task_id, str(entry.state)) for entry in run_dag(load("example_whole_database")).get_task_instances()]
    each = [("in_a_task_each", "success")] * len(ROWS)
    assert sorted(states) == [*each, ("in_one_task", "success"), ("names", "success")]
    assert {name: target.rows(name) for name in ROWS} == ROWS


def test_from_yaml(source: Source, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables and directories of the YAML file arrive, each in its own task."""
    for name, value in {"URL": source.url, "TOKEN": TOKEN, "FOLDER": str(tmp_path)}.items():
        monkeypatch.setenv(f"SYNC_{name}", value)
    monkeypatch.setenv("WAREHOUSE_URL", "airflow://target")
    assert task_states(run_dag(load("example_from_yaml"))) == {
        "tables.orders": "success",
        "tables.list": "success",
        "tables.each": "success",
        "directories.images": "success",
    }
    assert {name: target.rows(name) for name in ROWS} == ROWS
    assert (tmp_path / "images" / "one.txt").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_data_aware(source: Source, tmp_path: Path, airflow_stack: AirflowStack) -> None:
    """The consumer runs only if the orders changed, with the report."""
    producer, consumer = "example_data_aware", "example_data_aware_consumer"
    run_sqlite(tmp_path / "warehouse.db", "".join(f"{create_table(name)};" for name in ("orders", "customers")))
    airflow_stack.set_connection("sync_default", conn_type="sync", host=source.url, password=TOKEN)
    airflow_stack.set_connection("warehouse", conn_type="sqlite", host=str(tmp_path / "warehouse.db"))
    airflow_stack.add_dags(f"{producer}.py", EXAMPLES / f"{producer}.py", producer, consumer)
    airflow_stack.wait_until(lambda: airflow_stack.runs(consumer), "the consumer runs", seconds=200)
    for statement in ("SELECT 1", "UPDATE customers SET name = 'Bea'", "DELETE FROM orders WHERE id = 1"):
        source.execute(statement)
        airflow_stack.run(producer)
    airflow_stack.wait_until(lambda: len(airflow_stack.runs(consumer)) == 2, "the consumer runs again", seconds=200)
    results = []
    for run in airflow_stack.runs(consumer):
        assert airflow_stack.wait_for_run(consumer, run["dag_run_id"]) == "success"
        results.append(airflow_stack.result_of(consumer, run["dag_run_id"], "count_changes"))
    assert results == [3, 1]
    for name in (producer, consumer):
        airflow_stack.api("PATCH", f"/dags/{name}", {"is_paused": True})


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_docs_show_the_examples(page: Path) -> None:
    """Code that a page includes from an example is equal to the example."""
    for path, section, shown in re.findall(r"<!-- include: (\S+) (\w+) -->\n```python\n(.*?)```", page.read_text(), re.DOTALL):
        text = (EXAMPLES.parent / path).read_text()
        found = re.search(rf"# \[START {section}\]\n(.*?) *# \[END {section}\]", text, re.DOTALL)
        assert found is not None
        assert shown == dedent(found[1])
