"""The DAG of ``airflow-sync demo``: one table and one directory, kept in step with the demo's server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_sync.operators.file_sync import FileSyncOperator
from airflow_provider_sync.operators.table_sync import TableSyncOperator

with DAG(dag_id="sync_demo", schedule=None, catchup=False, doc_md=__doc__):
    tables = TableSyncOperator(
        task_id="sync_airports", tables={"airports": {}}, target_conn_id="sync_demo_target", skip_unchanged=True
    )
    files = FileSyncOperator(
        task_id="sync_countries", directories="countries", path="{{ var.value.sync_demo_directory }}", skip_unchanged=True
    )

    @task(trigger_rule="all_done")
    def note_reports(table_reports: Any, file_reports: Any, path: str) -> None:
        """Write down the reports that the two tasks returned; a task that was skipped returned nothing."""
        Path(path).write_text(json.dumps([*(table_reports or []), *(file_reports or [])]), encoding="utf-8")

    note_reports(tables.output, files.output, "{{ var.value.sync_demo_reports }}")
