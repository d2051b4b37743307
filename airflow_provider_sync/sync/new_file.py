"""Decide whether a run creates a database file that is missing: only if the source describes the tables to create in it.

Opening an SQLite or DuckDB database creates its file. Without these questions, a wrong token, URL or name would leave an
empty file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import SyncError, TableError
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.sync.tables.descriptions import Descriptions
from airflow_provider_sync.sync.tables.new_target.description import NewTarget
from airflow_provider_sync.sync.tables.version2.small_tables import describe_ahead


def describe_for_new_file(
    client: SyncClient, empty: Database, tables: Sequence[TargetTable], *, all_or_none: bool
) -> Mapping[str, Described] | None:
    """Return the descriptions of tables that a sync would create in a database that has none; ``None`` if it creates none.

    Some may be left out, and are requested again. Errors of single tables are ignored here, since the sync of each table reports
    them.

    :param empty: an in-memory database of the target's engine
    :param all_or_none: whether a table that fails stops all others
    :raises SyncError: if the server refuses or does not answer
    """
    if client.protocol_for() == 1:
        return None  # version 1 does not describe tables
    creatable = [table for table in tables if table.create_table]
    if all_or_none and len(creatable) < len(tables):
        return None
    described = describe_ahead(client, empty, creatable)
    answers = (_is_described(client, empty, table, described) for table in creatable)
    return described if (all(answers) if all_or_none else any(answers)) else None


def _is_described(client: SyncClient, empty: Database, options: TargetTable, known: Descriptions) -> bool:
    """Tell whether the source describes a table that can be created, and keep a description that is not known yet."""
    try:
        with client.within(options.max_seconds), empty.translate_errors():
            described = NewTarget(client, empty, options).describe(known.get(options.name))
    except SyncError:
        return False
    if options.name not in known:
        with suppress(TableError):  # if they are too large together, the sync says so
            known.keep(options.name, described)
    return True
