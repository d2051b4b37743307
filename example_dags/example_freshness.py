"""Notice that a copy is stale.

A DAG of its own checks the copies that other DAGs keep. It fails if a table or directory differs from its source, or was not
synced for too long.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from airflow.providers.common.compat.sdk import DAG, Param
from airflow.sdk.definitions.deadline import AsyncCallback, DeadlineAlert, DeadlineReference  # noqa: TID251  # not in compat

from airflow_provider_sync.notifications.sync_report import SyncReportNotifier
from airflow_provider_sync.operators.sync_check import SyncCheckOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator

# [START howto_deadline]
IN_TIME = DeadlineAlert(
    reference=DeadlineReference.DAGRUN_QUEUED_AT,
    interval=timedelta(minutes=30),
    callback=AsyncCallback(SyncReportNotifier, {"conn_id": "chat"}),
)
# [END howto_deadline]

with DAG(
    dag_id="example_deadline",
    description="Keep a table equal to that of another server, and tell when that takes too long",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    deadline=IN_TIME,
    tags=["example", "sync"],
):
    # [START howto_notifier_sync_report]
    TableSyncOperator(
        task_id="sync_orders",
        tables=["orders", "customers"],
        target_conn_id="warehouse",
        on_failure_callback=SyncReportNotifier(conn_id="chat"),
        on_success_callback=SyncReportNotifier(conn_id="chat", skip_unchanged=True),
    )
    # [END howto_notifier_sync_report]

with DAG(
    dag_id="example_freshness",
    description="Check that copies are equal to their sources, and not too old",
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/srv/sync", type="string", description="Where the directory is kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_sync_check]
    check_shop = SyncCheckOperator(
        task_id="check_shop",
        tables=["orders", "customers"],
        directories="images",
        target_conn_id="warehouse",
        path="{{ params.folder }}/images",
        max_age=timedelta(hours=2),
        retries=2,
    )
    # [END howto_operator_sync_check]
