"""The DAGs of the soak, each another way to sync; the soak copies this file into Airflow's folder, and starts their runs."""

from __future__ import annotations

import os
from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.sync_check import SyncCheckOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.sensors.table_changed import TableChangedSensor
from airflow_provider_sync.task_groups.file_sync import FileSyncGroup
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup

COPIES = os.environ["SOAK_COPIES"]
RETRY = {"retries": 3, "retry_delay": timedelta(seconds=2)}
MARIADB = {"sync_conn_id": "soak", "target_conn_id": "soak_mariadb"}
POSTGRESQL = {"sync_conn_id": "soak", "target_conn_id": "soak_postgresql"}
DUCKDB = {"sync_conn_id": "soak", "target_conn_id": "soak_duckdb"}


def new_dag(dag_id: str) -> DAG:
    """Return a DAG that runs only when it is started, one run at a time."""
    return DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1), max_active_runs=1, default_args=RETRY)


with new_dag("soak_tables"):
    TableSyncOperator(task_id="sync", tables=["orders", "customers"], **MARIADB)

with new_dag("soak_table_steps"):
    TableSyncGroup("steps", tables="events", slices=3, sync_conn_id="soak", target_conn_id="soak_mariadb")

with new_dag("soak_directory"):
    FileSyncOperator(task_id="sync", directories="images", path=f"{COPIES}/images", sync_conn_id="soak")

with new_dag("soak_directory_steps"):
    FileSyncGroup("steps", directories="letters", path=f"{COPIES}/letters", batches=2, sync_conn_id="soak")

with new_dag("soak_history"):
    TableSyncOperator(task_id="sync", tables={"prices": {"mode": "history", "create_table": True}}, **POSTGRESQL)

with new_dag("soak_database"):
    TableSyncOperator(task_id="sync", tables="small_*", create_table=True, **POSTGRESQL)

with new_dag("soak_sensor"):
    changed = TableChangedSensor(task_id="changed", table="orders", deferrable=True, **POSTGRESQL)
    changed >> TableSyncOperator(task_id="sync", tables="orders", **POSTGRESQL)

with new_dag("soak_duckdb"):
    TableSyncOperator(task_id="sync", tables=["orders", "events"], **DUCKDB)

with new_dag("soak_from_mariadb"):
    TableSyncOperator(task_id="sync", tables="stock", create_table=True, **POSTGRESQL)

with new_dag("soak_check"):
    # While the source changes, copies differ; that is no failure of a run.
    SyncCheckOperator(
        task_id="check",
        tables=["orders", "customers"],
        directories="images",
        path=f"{COPIES}/images",
        max_age="1d",
        soft_fail=True,
        **MARIADB,
    )
