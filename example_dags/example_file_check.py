"""Read a directory anew once a week, on both sides, and repair what has changed without a new time of modification.

Every other sync of the directory trusts sizes, times and the cache of digests. It needs the connection ``sync_default``, of the
type "Sync server". Start a run with the folder as a parameter: ``{"folder": "/srv/sync"}``.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_sync.operators.file_sync import FileSyncOperator

with DAG(
    dag_id="example_file_check",
    description="Read a directory anew once a week",
    schedule="@weekly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/srv/sync", type="string", description="Where the directories are kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_file_sync_check]
    check_images = FileSyncOperator(
        task_id="check_images",
        directories="images",
        path="{{ params.folder }}/images",
        checksum="always",
    )
    # [END howto_operator_file_sync_check]
