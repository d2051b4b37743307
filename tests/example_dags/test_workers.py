"""The steps of syncs on workers that share nothing but databases and an object store, under both kinds of executors."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import boto3
import pytest

from airflow_provider_sync.history.store import open_history
from tests.airflow_stack import AirflowStack
from tests.celery_workers import CeleryStack
from tests.example_dags.test_example_dags import EXAMPLES
from tests.object_store import KEYS, REGION, bucket, object_store
from tests.source_server import TOKEN, Source, Target, airflow_connection, source

__all__ = ["bucket", "object_store", "source"]

EXAMPLE = "example_workers"
# Nothing runs but what the tests start.
UNSCHEDULED = (EXAMPLES / f"{EXAMPLE}.py").read_text().replace('schedule="@daily"', "schedule=None")
TABLE_TASKS = {"sync_orders.compare", *(f"sync_orders.download[{number}]" for number in range(4)), "sync_orders.merge"}
FILE_TASKS = {"sync_images.compare", *(f"sync_images.download[{number}]" for number in range(3)), "sync_images.delete"}
ROWS = 200_000
FILES = 600  # 256 small files make a batch
# The first download of `right` stops for good once something is staged and committed; slices are small, and many.
KILLED = """
import os
import signal
from datetime import datetime
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.sync.tables.version2 import batch_sizes, plan, row_loading
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup

HOME = Path(os.environ["AIRFLOW_HOME"])
batch_sizes.TASK_ROWS = 10_000
batch_sizes.LOAD_BYTES = 64 * 1024
bounded = row_loading._batches


def stopping(blocks):
    for number, stretch in enumerate(bounded(blocks)):
        if number == 2 and HOME.name == "right":
            (HOME / "halfway").touch()
            signal.pause()
        yield stretch


row_loading._batches = stopping

with DAG("killed_worker", schedule=None, start_date=datetime(2026, 1, 1)):
    TableSyncGroup(
        tables="orders",
        target_conn_id="warehouse",
        slices=4,
        queue="warehouse",
        step_arguments={"download": {"queue": "downloads", "retries": 2, "retry_delay": 0}},
    )
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture
def full_source(source: Source) -> Source:
    """Give a source with a table for four slices and a directory for three batches."""
    source.execute("DELETE FROM orders")
    source.execute(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"
        " INSERT INTO orders SELECT i, 'name ' || i || hex(randomblob(8)), '1.00' FROM n",
        (ROWS,),
    )
    for number in range(FILES - 2):
        source.write("images", f"{number:03}.txt", f"image {number}")
    return source


def connect(stack: AirflowStack, source: Source, target_url: str, store: str) -> None:
    """Set the connections that the example asks for."""
    stack.set_connection("sync_default", conn_type="sync", host=source.url, password=TOKEN)
    stack.set_connection("warehouse", **json.loads(airflow_connection(target_url)))
    extra = json.dumps({"endpoint_url": store, "region_name": REGION})
    stack.set_connection("store", conn_type="aws", extra=extra, **KEYS)


def rows_of(source: Source) -> list[tuple[object, ...]]:
    """Return the source's rows."""
    with closing(sqlite3.connect(source.database)) as connection:
        return connection.execute("SELECT id, name, amount FROM orders ORDER BY id").fetchall()


def paths_in(store: str, name: str) -> set[str]:
    """Return the paths of the images in a bucket."""
    keys = {"aws_access_key_id": KEYS["login"], "aws_secret_access_key": KEYS["password"], "region_name": REGION}
    listed = boto3.client("s3", endpoint_url=store, **keys).list_objects_v2(Bucket=name, Prefix="images/")
    return {entry["Key"].removeprefix("images/") for entry in listed["Contents"]}


def paths_of(source: Source) -> set[str]:
    """Return the paths of the source's images."""
    folder = source.folder / "images"
    return {str(path.relative_to(folder)) for path in folder.rglob("*.*")}


def test_local_executor(
    airflow_stack: AirflowStack,
    full_source: Source,
    mariadb_url: str,
    object_store: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Under the LocalExecutor, a table and a directory on an object store arrive through mapped tasks; then all are skipped."""
    target = Target(mariadb_url, monkeypatch)
    connect(airflow_stack, full_source, mariadb_url, object_store)
    airflow_stack.add_dags(f"{EXAMPLE}.py", UNSCHEDULED, EXAMPLE)
    run_id = airflow_stack.run(EXAMPLE, conf={"bucket": bucket})
    assert airflow_stack.task_states(EXAMPLE, run_id) == dict.fromkeys(TABLE_TASKS | FILE_TASKS, "success")
    assert target.rows("orders") == rows_of(full_source)
    assert paths_in(object_store, bucket) == paths_of(full_source)
    (report,) = airflow_stack.result_of(EXAMPLE, run_id, "sync_orders.merge")
    assert (report["rows_inserted"], report["verified"]) == (ROWS, "digest")
    again = airflow_stack.task_states(EXAMPLE, airflow_stack.run(EXAMPLE, conf={"bucket": bucket}))
    assert set(again.values()) == {"skipped"}


def test_celery_executor(
    celery_stack: CeleryStack,
    full_source: Source,
    postgresql_url: str,
    object_store: str,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two workers without a shared disk sync a table and a directory; queues choose the worker, and the history is common."""
    stack, left, right = celery_stack
    target = Target(postgresql_url, monkeypatch)
    connect(stack, full_source, postgresql_url, object_store)
    celery_stack.add_dags(f"{EXAMPLE}.py", UNSCHEDULED, EXAMPLE)
    run_id = stack.run(EXAMPLE, conf={"bucket": bucket})
    by_left, by_right = set(left.ran(EXAMPLE, run_id)), set(right.ran(EXAMPLE, run_id))
    assert by_left | by_right == TABLE_TASKS | FILE_TASKS
    assert not by_left & by_right
    assert {"sync_orders.compare", "sync_orders.merge"} <= by_left
    assert any("sync_orders.download" in task for task in by_right)
    assert target.rows("orders") == rows_of(full_source)
    assert paths_in(object_store, bucket) == paths_of(full_source)
    history = open_history(stack.environment["AIRFLOW__SYNC__HISTORY"])
    assert {sync.key.name for sync in history.syncs()} == {"orders", "images"}


def test_killed_worker(
    celery_stack: CeleryStack, full_source: Source, mariadb_url: str, object_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a worker dies during a download, another one continues it, and the rows are correct."""
    stack, left, right = celery_stack
    target = Target(mariadb_url, monkeypatch)
    connect(stack, full_source, mariadb_url, object_store)
    celery_stack.add_dags("killed_worker.py", KILLED, "killed_worker")
    run_id = stack.trigger("killed_worker")
    stack.wait_until((right.home / "halfway").exists, "a download of the right worker halfway")
    right.kill()
    assert stack.wait_for_run("killed_worker", run_id) == "success"
    (stopped,) = [task for task in right.ran("killed_worker", run_id) if f"{task}#2" in left.ran("killed_worker", run_id)]
    assert target.rows("orders") == rows_of(full_source)
    (report,) = stack.result_of("killed_worker", run_id, "sync_orders.merge")
    assert (report["rows_inserted"], report["verified"]) == (ROWS, "digest")
    # What was staged before the worker died did not come again.
    assert stack.result_of("killed_worker", run_id, stopped)[0]["received"] < ROWS // 4
