"""Run the steps of a sync on workers that share no disk, each step near its data.

It needs the CeleryExecutor, workers that serve the queues ``warehouse`` and ``downloads``, and the connections ``sync_default``,
of the type "Sync server", ``warehouse``, the target's database, and ``store``, an object store. The target table exists already.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.task_groups.file_sync import FileSyncGroup
from airflow_provider_sync.task_groups.table_sync import TableSyncGroup

with DAG(
    dag_id="example_workers",
    description="Keep a table and a directory equal to those of another server, by several workers",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"bucket": "company"},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_group_workers]
    orders = TableSyncGroup(
        tables="orders",
        target_conn_id="warehouse",
        slices=4,
        retries=3,
        queue="warehouse",
        step_arguments={"download": {"queue": "downloads"}},
    )
    images = FileSyncGroup(
        directories="images",
        path="s3://store@{{ params.bucket }}/images",
        batches=4,
        retries=3,
        queue="downloads",
    )
    # [END howto_group_workers]
    orders >> images
