"""Keep a bucket of S3 equal to directories that a sync server offers.

It needs two connections: ``sync_default``, of the type "Sync server", and ``store``, of the type "Amazon Web Services" (extra
``s3``). Start a run with the bucket as a parameter: ``{"bucket": "company-images"}``.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_sync.operators.file_sync import FileSyncOperator

with DAG(
    dag_id="example_object_storage",
    description="Keep object storage equal to directories of another server",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"bucket": Param("company-images", type="string", description="Where the directories are kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_file_sync_object_storage]
    sync_to_bucket = FileSyncOperator(
        task_id="sync_to_bucket",
        directories=["images", "letters"],
        path="s3://store@{{ params.bucket }}/mirror",
        files_per_request=100,
    )
    # [END howto_operator_file_sync_object_storage]
