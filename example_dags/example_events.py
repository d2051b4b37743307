"""Sync when the source has changed, instead of by the clock: the triggerer watches a table and a directory.

It needs a triggerer and two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's
database. The target table exists already.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG, Asset, Param

# The common path does not have it.
from airflow.sdk import AssetWatcher  # noqa: TID251

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator
from airflow_provider_sync.triggers.files_changed import FilesChangedTrigger
from airflow_provider_sync.triggers.table_changed import TableChangedTrigger

# [START howto_trigger_table_changed]
orders = Asset(
    name="orders_of_the_shop",
    uri="sync://shop.example/api/sync/tables/orders",
    watchers=[AssetWatcher(name="orders_changed", trigger=TableChangedTrigger(table="orders", poll_interval=300))],
)
# [END howto_trigger_table_changed]

# [START howto_trigger_files_changed]
invoices = Asset(
    name="invoices_of_the_shop",
    uri="sync://shop.example/api/sync/directories/invoices",
    watchers=[AssetWatcher(name="invoices_changed", trigger=FilesChangedTrigger(directory="invoices", include=["**/*.pdf"]))],
)
# [END howto_trigger_files_changed]

# [START howto_dag_events]
with DAG(
    dag_id="example_events",
    description="Sync what has changed at the source",
    schedule=(orders | invoices),
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    params={"folder": Param("/srv/sync", type="string", description="Where the directory is kept")},
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    TableSyncOperator(task_id="sync_orders", tables="orders", target_conn_id="warehouse")
    FileSyncOperator(task_id="sync_invoices", directories="invoices", path="{{ params.folder }}/invoices", include=["**/*.pdf"])
# [END howto_dag_events]
