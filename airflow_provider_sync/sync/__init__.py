"""Sync tables and directories of the target with the source: compare, download, merge.

The steps work without Airflow; operators, sensors and commands are thin callers.
"""

from airflow_provider_sync.sync.directories.pipeline import directory_differs, sync_directory
from airflow_provider_sync.sync.run import Opener, plan_run, run
from airflow_provider_sync.sync.run_diff import diff_run
from airflow_provider_sync.sync.tables.change_check import table_differs
from airflow_provider_sync.sync.tables.diff import TableDiff, diff_table
from airflow_provider_sync.sync.tables.doctor import Diagnosis, diagnose_table
from airflow_provider_sync.sync.tables.pipeline import sync_tables
from airflow_provider_sync.sync.watch import Watched, WatchedDirectory, WatchedTable, source_digest

__all__ = [
    "Diagnosis",
    "Opener",
    "TableDiff",
    "Watched",
    "WatchedDirectory",
    "WatchedTable",
    "diagnose_table",
    "diff_run",
    "diff_table",
    "directory_differs",
    "plan_run",
    "run",
    "source_digest",
    "sync_directory",
    "sync_tables",
    "table_differs",
]
