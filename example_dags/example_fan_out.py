"""Keep the same tables in several databases: each target has a task of its own, and if one fails, the others go on.

It needs the connection ``sync_default``, of the type "Sync server", and one for each target.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.table_sync import TableSyncOperator

with DAG(
    dag_id="example_fan_out",
    description="Keep tables equal to those of another server, in several databases",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_table_sync_fan_out]
    TableSyncOperator.partial(
        task_id="to_each",
        tables=["orders", "customers"],
        # At most so many targets read the source at once.
        max_active_tis_per_dagrun=2,
    ).expand(target_conn_id=["warehouse", "reporting"])
    # [END howto_operator_table_sync_fan_out]
