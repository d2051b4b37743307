"""Which merge a mode takes. Modes that only leave rows out take that of a mirror, which writes what is listed."""

from __future__ import annotations

from airflow_provider_sync.databases.table_mode import TableMode
from airflow_provider_sync.merge.history import HistoryMerge
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.soft_delete import SoftDeleteMerge


def merge_for(mode: TableMode) -> type[TableMerge]:
    """Return the class of a mode's merge."""
    match mode.name:
        case "soft_delete":
            return SoftDeleteMerge
        case "history":
            return HistoryMerge
        case "mirror" | "upsert" | "append":
            return TableMerge
