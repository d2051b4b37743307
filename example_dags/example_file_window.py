"""Keep a folder for each day equal to the server's: the run of January 2 syncs ``exports/2026-01-02``.

It needs the connection ``sync_default``, of the type "Sync server". Start a run with the folder as a parameter:
``{"folder": "/srv/exports"}``, or a URL such as ``s3://my_aws@bucket/exports`` (extra ``s3``). To sync past days::

    airflow backfill create --dag-id example_file_window --from-date 2026-01-01 --to-date 2026-01-31
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sync.operators.file_sync import FileSyncOperator

with DAG(
    dag_id="example_file_window",
    description="Keep the folder of each day equal to that of another server",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/srv/exports", type="string", description="Where the folders of the days are kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_file_sync_window]
    sync_day = FileSyncOperator(
        task_id="sync_day",
        directories="exports",
        prefix="{{ data_interval_start | ds }}",
        path="{{ params.folder }}/{{ data_interval_start | ds }}",
    )
    # [END howto_operator_file_sync_window]
