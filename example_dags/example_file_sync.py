"""Keep directories equal to those that a sync server offers.

It needs the connection ``sync_default``, of the type "Sync server". Start a run with the folder as a parameter:
``{"folder": "/srv/images"}``, or a URL such as ``s3://my_aws@bucket/images`` (extra ``s3``).
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.sensors.files_changed import FilesChangedSensor

with DAG(
    dag_id="example_file_sync",
    description="Keep directories equal to those of another server",
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/srv/sync", type="string", description="Where the directories are kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_sensor_files_changed]
    images_changed = FilesChangedSensor(
        task_id="images_changed",
        directory="images",
        path="{{ params.folder }}/images",
    )
    # [END howto_sensor_files_changed]

    # [START howto_operator_file_sync]
    sync_images = FileSyncOperator(
        task_id="sync_images",
        directories="images",
        path="{{ params.folder }}/images",
    )
    # [END howto_operator_file_sync]

    # [START howto_operator_file_sync_several]
    sync_documents = FileSyncOperator(
        task_id="sync_documents",
        directories={"invoices": {"include": ["**/*.pdf"]}, "letters": {"max_deletes": "10%"}},
        path="{{ params.folder }}",
        skip_unchanged=True,
    )
    # [END howto_operator_file_sync_several]

    images_changed >> sync_images
