"""Choose the merge class for a mode. Modes that only list fewer rows use the merge of ``mirror``."""

from __future__ import annotations

from airflow_provider_sync.databases.table_mode import TableMode
from airflow_provider_sync.merge.history import HistoryMerge
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.soft_delete import SoftDeleteMerge


def merge_for(mode: TableMode) -> type[TableMerge]:
    """Return the merge class for a mode."""
    match mode.name:
        case "soft_delete":
            return SoftDeleteMerge
        case "history":
            return HistoryMerge
        case "mirror" | "upsert" | "append":
            return TableMerge
