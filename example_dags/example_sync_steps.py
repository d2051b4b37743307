"""Show the steps of a sync as tasks: compare, download in parallel, merge.

It needs two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's database. The target
table exists already.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_sync.task_groups.file_sync import FileSyncGroup
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup

with DAG(
    dag_id="example_sync_steps",
    description="Keep a table and a directory equal to those of another server, each step a task",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/srv/images", type="string", description="Where the directory is kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_group_table_sync]
    sync_orders = TableSyncGroup(
        tables="orders",
        target_conn_id="warehouse",
        slices=8,
        max_active_downloads=2,
        retries=3,
    )
    # [END howto_group_table_sync]

    # [START howto_group_file_sync]
    sync_images = FileSyncGroup(
        directories="images",
        path="{{ params.folder }}",
        batches=8,
        retries=3,
    )
    # [END howto_group_file_sync]
