"""What a sync tells Airflow of the data that it moved."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, Asset, AssetAlias, HookLineageCollector
from sqlalchemy import make_url
from structlog.testing import capture_logs

from airflow_provider_sync.airflow_support import lineage
from airflow_provider_sync.assets import create_asset
from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.sync_operator import SyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from tests.airflow_runs import asset_events, register, run_dag, task_states
from tests.source_server import ROWS, Source, Target


def events(dag: DAG) -> dict[str, list[str]]:
    """Run a DAG and return the tables that changed, as the events of the assets have them."""
    run = run_dag(dag)
    assert set(task_states(run).values()) == {"success"}
    return {uri: [report["name"] for report in extra["reports"]] for uri, extra in asset_events(run).items()}


def test_events(source: Source, target: Target) -> None:
    """An outlet that names a table has an event only if that table changed; any other outlet, if any table changed."""
    orders, customers = (create_asset(url=source.url, table=name) for name in ("orders", "customers"))
    warehouse, by_name = Asset("x-warehouse://shop"), Asset("everything")
    with DAG("events", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        outlets = [orders, customers, warehouse, by_name, AssetAlias("shop")]
        TableSyncOperator(task_id="sync", tables=["orders", "customers"], target_conn_id="target", outlets=outlets)
    both = ["orders", "customers"]
    assert events(dag) == {orders.uri: both[:1], customers.uri: both[1:], warehouse.uri: both, by_name.uri: both}
    assert events(dag) == {}
    source.execute("DELETE FROM orders WHERE id = 1")
    assert events(dag) == {uri: ["orders"] for uri in (orders.uri, warehouse.uri, by_name.uri)}
    assert events(dag) == {}


def test_events_of_references(source: Source, target: Target) -> None:
    """An outlet that refers to an asset by URI or name has its events; a reference to no asset fails no sync."""
    orders, customers = (create_asset(url=source.url, table=name) for name in ("orders", "customers"))
    shop = Asset("referred_to", uri=customers.uri)
    with DAG("referred", schedule=[orders, shop], start_date=datetime(2026, 1, 1, tzinfo=UTC)) as known:
        pass
    with DAG("references", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        outlets = [Asset.ref(uri=orders.uri), Asset.ref(name="referred_to"), Asset.ref(name="nowhere")]
        TableSyncOperator(task_id="sync", tables=["orders", "customers"], target_conn_id="target", outlets=outlets)
    register(known)
    assert events(dag) == {orders.uri: ["orders"], customers.uri: ["customers"]}
    source.execute("DELETE FROM orders WHERE id = 1")
    assert events(dag) == {orders.uri: ["orders"]}
    assert len(target.rows("orders")) == 2


def test_the_report_is_the_extra(source: Source, target: Target) -> None:
    """An event has the whole report of the changed table."""
    asset = create_asset(url=source.url, table="orders")
    with DAG("extra", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target", outlets=[asset])
    run = run_dag(dag)
    (instance,) = run.get_task_instances()
    assert asset_events(run)[asset.uri] == {"reports": instance.xcom_pull(task_ids="sync")}


def test_no_events(source: Source, target: Target) -> None:
    """Neither a dry run nor a sync that failed has events, and nothing is written."""
    asset = create_asset(url=source.url, table="orders")
    with DAG("without", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        options: dict[str, Any] = {"target_conn_id": "target", "outlets": [asset]}
        TableSyncOperator(task_id="dry", tables="orders", dry_run=True, **options)
        TableSyncOperator(task_id="failed", tables="missing", **options)
    run = run_dag(dag)
    assert task_states(run) == {"dry": "success", "failed": "failed"}
    assert (asset_events(run), target.rows("orders")) == ({}, [])


def test_events_of_directories(source: Source, tmp_path: Any) -> None:
    """Directories have events as tables do."""
    images, letters = (create_asset(url=source.url, directory=name) for name in ("images", "letters"))
    with DAG("directories", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        FileSyncOperator(
            task_id="sync", directories=["images", "letters"], path=str(tmp_path / "target"), outlets=[images, letters]
        )
    assert events(dag) == {images.uri: ["images"], letters.uri: ["letters"]}
    source.write("letters", "new.txt", "new")
    assert events(dag) == {letters.uri: ["letters"]}
    assert events(dag) == {}


def synced(operator: SyncOperator) -> SyncOperator:
    """Run an operator outside a DAG."""
    operator.execute({})
    return operator


def datasets(operator: SyncOperator) -> list[tuple[str, str, str, str, dict[str, int]]]:
    """Return source and target of each table and directory as OpenLineage has them, and what was written."""
    pytest.importorskip("openlineage.client", reason="the extra 'openlineage' is not installed")
    told = operator.get_openlineage_facets_on_complete(None)
    found = []
    for source, target in zip(told.inputs, told.outputs, strict=True):
        statistics = target.outputFacets["outputStatistics"]
        numbers = {name: getattr(statistics, name) for name in ("rowCount", "fileCount", "size")}
        written = {name: number for name, number in numbers.items() if number is not None}
        found.append((source.namespace, source.name, target.namespace, target.name, written))
    return found


def test_openlineage_of_tables(source: Source, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenLineage gets the server's table, the target's table in its database's namespace, and the number of written rows."""
    Target(database_url, monkeypatch)
    url = make_url(database_url)
    namespace, prefix = {
        "postgresql": (f"postgres://{url.host}:{url.port}", f"{url.database}.public."),
        "mysql": (f"mysql://{url.host}:{url.port}", f"{url.database}."),
        "sqlite": ("file", f"{url.database}/"),
        "duckdb": ("file", f"{url.database}/"),
    }[url.get_backend_name()]
    server = source.url.replace("http", "sync")
    operator = synced(TableSyncOperator(task_id="sync", tables=["orders", "customers"], target_conn_id="target"))
    assert datasets(operator) == [
        (server, f"tables/{name}", namespace, f"{prefix}{name}", {"rowCount": rows})
        for name, rows in (("orders", 3), ("customers", 1))
    ]


def test_openlineage_of_directories(source: Source, bucket: str, tmp_path: Path) -> None:
    """OpenLineage gets the folder or bucket key of files, and the numbers of written files and bytes."""
    server = source.url.replace("http", "sync")
    wanted = {"images": {"path": str(tmp_path / "images")}, "letters": {"path": f"s3://store@{bucket}/mirror/letters"}}
    operator = synced(FileSyncOperator(task_id="sync", directories=wanted))
    assert datasets(operator) == [
        (server, "directories/images", "file", str(tmp_path / "images"), {"fileCount": 2, "size": 26}),
        (server, "directories/letters", f"s3://{bucket}", "mirror/letters", {"fileCount": 2, "size": 28}),
    ]


def test_hook_lineage(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hook lineage has the server's table and the target's table."""
    collector = HookLineageCollector()
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: collector)
    synced(TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target"))
    collected = collector.collected_assets
    assert [entry.asset.uri for entry in collected.inputs] == [f"{source.url.replace('http', 'sync')}/tables/orders"]
    (output,) = collected.outputs
    assert output.asset.uri.startswith("file:///")
    assert output.asset.uri.endswith(".db/orders")


def test_lineage_never_fails_a_task(source: Source, target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing reader of lineage leaves a warning in the log, and the sync succeeds."""
    monkeypatch.setattr(lineage, "get_hook_lineage_collector", lambda: None)
    with capture_logs() as logged:
        synced(TableSyncOperator(task_id="sync", tables="orders", target_conn_id="target"))
    assert any("lineage of this sync is not reported" in event["event"] for event in logged)
    assert target.rows("orders") == ROWS["orders"]
