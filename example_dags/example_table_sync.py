"""Keep tables of a database equal to those that a sync server offers.

It needs two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's database. The
target tables exist already.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.sensors.table_changed import TableChangedSensor

with DAG(
    dag_id="example_table_sync",
    description="Keep tables equal to those of another server",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_sensor_table_changed]
    orders_changed = TableChangedSensor(
        task_id="orders_changed",
        table="orders",
        target_conn_id="warehouse",
        when_unchanged="skip",
    )
    # [END howto_sensor_table_changed]

    # [START howto_operator_table_sync]
    sync_orders = TableSyncOperator(
        task_id="sync_orders",
        tables="orders",
        target_conn_id="warehouse",
    )
    # [END howto_operator_table_sync]

    # [START howto_operator_table_sync_several]
    sync_shop = TableSyncOperator(
        task_id="sync_shop",
        tables={
            "customers": {"renames": {"name": "customer_name"}},
            "countries": {"max_deletes": 10},
        },
        target_conn_id="warehouse",
        single_transaction=True,
        skip_unchanged=True,
    )
    # [END howto_operator_table_sync_several]

    orders_changed >> sync_orders
