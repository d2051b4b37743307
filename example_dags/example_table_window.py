"""Keep a large table equal to the server's, one day in each run, by windows on its column ``created_at``.

It needs two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's database. The server
has to allow windows on the column: ``events: {windows: [created_at]}``. To sync past days::

    airflow backfill create --dag-id example_table_window --from-date 2026-01-01 --to-date 2026-01-31
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_provider_sync.operators.table_sync import TableSyncOperator

with DAG(
    dag_id="example_table_window",
    description="Keep each day of a table equal to that of another server",
    # In Airflow 3, the data interval of `schedule="@daily"` is empty: it ends where it starts.
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_table_sync_window]
    sync_day = TableSyncOperator(
        task_id="sync_day",
        tables="events",
        window=["created_at", "{{ data_interval_start }}", "{{ data_interval_end }}"],
        create_table=True,
        # The source may have deleted all rows of a day.
        allow_empty_source=True,
        target_conn_id="warehouse",
    )
    # [END howto_operator_table_sync_window]
