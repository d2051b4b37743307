"""A target that a sync makes, and drops again when that sync fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetTable
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.locks import TableLock
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.sync.tables import version2


@contextmanager
def made_target(client: SyncClient, database: Database, options: TargetTable, lock: TableLock) -> Iterator[None]:
    """Make a missing target; when what follows fails, drop it again, unless it has rows or is not ours any more.

    :param lock: of this table, to be held until the end: without it, another sync may have filled the table
    """
    table = version2.create(client, database, options)
    try:
        yield
    except BaseException:
        # The error that ended the sync is the one to be told.
        with suppress(SyncError):
            lock.check()
            with database.connect() as connection:
                database.ddl.drop_if_empty(connection, table)
        raise
