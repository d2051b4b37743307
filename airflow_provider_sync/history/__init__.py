"""The history of syncs: one record for each table or directory and run, in a database of the user's choice.

It works without Airflow. The callers decide which syncs write records and how records are shown.
"""

from airflow_provider_sync.history.overview import SyncChoice, SyncOrder
from airflow_provider_sync.history.records import Origin, Record, Sync, SyncKey
from airflow_provider_sync.history.running import RunningNote, RunningSync, Work
from airflow_provider_sync.history.store import KEEP_DAYS, History, open_history, record_or_warn

__all__ = [
    "KEEP_DAYS",
    "History",
    "Origin",
    "Record",
    "RunningNote",
    "RunningSync",
    "Sync",
    "SyncChoice",
    "SyncKey",
    "SyncOrder",
    "Work",
    "open_history",
    "record_or_warn",
]
