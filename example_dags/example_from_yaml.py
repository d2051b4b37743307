"""Do what a client.yaml says: the same file, on the command line and in Airflow.

It needs the environment variables that ``example_client.yaml``, the file beside, uses.
"""

from __future__ import annotations

from datetime import datetime

from airflow_provider_sync.task_groups.sync_dag import SyncDag

# [START howto_sync_dag]
dag = SyncDag.from_yaml(
    "example_client.yaml",
    dag_id="example_from_yaml",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    per_table=True,
    task_arguments={"retries": 2},
    tags=["example", "sync"],
)
# [END howto_sync_dag]
