"""Run a DAG when a sync has changed a table: the table's asset gets an event only if the table changed.

It needs two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's database.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, task

from airflow_provider_sync.operators.table_sync import TableSyncOperator

# [START howto_outlets]
# The table "orders" that the server at https://source.example/api/sync offers.
ORDERS = Asset("sync://source.example/api/sync/tables/orders")

with DAG(
    dag_id="example_data_aware",
    description="Keep a table equal to that of another server, and announce its changes",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    TableSyncOperator(task_id="sync_orders", tables=["orders", "customers"], target_conn_id="warehouse", outlets=[ORDERS])

with DAG(
    dag_id="example_data_aware_consumer",
    description="Run when the orders changed",
    schedule=[ORDERS],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["example", "sync"],
):

    @task
    def count_changes(triggering_asset_events=None):
        reports = [report for event in triggering_asset_events[ORDERS] for report in event.extra["reports"]]
        return sum(report["rows_inserted"] + report["rows_updated"] + report["rows_deleted"] for report in reports)

    count_changes()
# [END howto_outlets]
