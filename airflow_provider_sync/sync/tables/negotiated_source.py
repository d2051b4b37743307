"""Choose the protocol version for the sync of a table."""

from __future__ import annotations

from typing import Literal

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.sync.tables.table_source import TableSource
from airflow_provider_sync.sync.tables.version1.source import Version1Source
from airflow_provider_sync.sync.tables.version2.source import Version2Source


def source_of(client: SyncClient, database: Database, protocol: Literal[1, 2] | None = None) -> TableSource:
    """Return the source for the newest protocol version that server and client support.

    :param database: the target's database
    :param protocol: the version that an earlier step used; then the server is not asked
    """
    spoken = client.protocol_for() if protocol is None else protocol
    return Version1Source(client, database) if spoken == 1 else Version2Source(client, database)
