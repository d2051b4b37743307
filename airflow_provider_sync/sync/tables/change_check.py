"""Tell whether a table differs from its source without downloading rows, for callers that wait for a change."""

from __future__ import annotations

from functools import partial

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.tables.apply_schema_changes import following_source, narrowed
from airflow_provider_sync.sync.tables.missing_target import find_target
from airflow_provider_sync.sync.tables.negotiated_source import source_of
from airflow_provider_sync.sync.tables.target import Target, with_row_security
from airflow_provider_sync.sync.time_limit import within_max_seconds


@within_max_seconds
def table_differs(client: SyncClient, table: TargetTable, database: Database) -> bool:
    """Tell whether a sync would change the table, by comparing hashes or digests; no row is downloaded.

    :raises ServerError: if the source cannot hash the table
    """
    database = with_row_security(database, [table])
    target = find_target(client, database, table)
    if target is None:
        return True
    source = source_of(client, database)

    def differs(target: Target) -> bool:
        return source.differs(target) or bool(target.schema_changes)

    return repeated(client, lambda: following_source(target, partial(narrowed, database), differs))
