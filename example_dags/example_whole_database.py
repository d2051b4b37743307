"""Keep every table that a sync server offers, new ones too: in one task, or in a task for each.

It needs two connections: ``sync_default``, of the type "Sync server", and ``warehouse``, the target's database.
"""

from __future__ import annotations

from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_sync.operators.sync_list import SyncListOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator

with DAG(
    dag_id="example_whole_database",
    description="Keep every table of another server, new ones too",
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["example", "sync"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_table_sync_whole_database]
    in_one_task = TableSyncOperator(
        task_id="in_one_task",
        tables="*",
        exclude=["tmp_*"],
        create_table=True,
        target_conn_id="warehouse",
    )
    # [END howto_operator_table_sync_whole_database]

    # [START howto_operator_sync_list]
    names = SyncListOperator(task_id="names", exclude=["tmp_*"])

    in_a_task_each = TableSyncOperator.partial(
        task_id="in_a_task_each",
        create_table=True,
        target_conn_id="warehouse",
        map_index_template="{{ task.tables }}",
        # At most so many tables are synced at once.
        max_active_tis_per_dagrun=4,
    ).expand(tables=names.output)
    # [END howto_operator_sync_list]

    in_one_task >> names
