"""Wait for a change of the source without keeping a worker busy, then sync.

It needs a triggerer and two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's
database. The target table exists already.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.sensors.table_changed import TableChangedSensor

with DAG(
    dag_id="example_deferrable_sensor",
    description="Wait for a change of the source without a worker",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_sensor_deferrable]
    orders_changed = TableChangedSensor(
        task_id="orders_changed",
        table="orders",
        target_conn_id="warehouse",
        when_unchanged="wait",
        deferrable=True,
        poke_interval=timedelta(minutes=5),
        timeout=timedelta(hours=12),
    )
    # [END howto_sensor_deferrable]

    orders_changed >> TableSyncOperator(task_id="sync_orders", tables="orders", target_conn_id="warehouse")
