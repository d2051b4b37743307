"""Decide whether a run creates a database file that is missing: only if the source describes the tables to create in it.

Opening an SQLite or DuckDB database creates its file. Without these questions, a wrong token, URL or name would leave an
empty file.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.sync.tables.new_target.description import NewTarget
from airflow_provider_sync.sync.tables.version2.small_tables import describe_ahead


def fills_new_file(client: SyncClient, empty: Database, tables: Sequence[TargetTable], *, single_transaction: bool) -> bool:
    """Whether a sync of the tables would create some of them in a database that has none.

    Errors of single tables are ignored here, since the sync of each table reports them.

    :param empty: an in-memory database of the target's engine
    :param single_transaction: whether a table that fails stops all others
    :raises SyncError: if the server refuses or does not answer
    """
    if client.protocol_for() == 1:
        return False  # version 1 does not describe tables
    creatable = [table for table in tables if table.create_table]
    if single_transaction and len(creatable) < len(tables):
        return False
    described = describe_ahead(client, empty, creatable)
    answers = (_is_described(client, empty, table, described.get(table.name)) for table in creatable)
    return all(answers) if single_transaction else any(answers)


def _is_described(client: SyncClient, empty: Database, options: TargetTable, described: Described | None) -> bool:
    try:
        with client.within(options.max_seconds), empty.translate_errors():
            NewTarget(client, empty, options).describe(described)
    except SyncError:
        return False
    return True
