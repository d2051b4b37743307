"""Refuse a view or a query of the server that answers differently each time that it runs."""

from __future__ import annotations

from contextlib import nullcontext

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.exceptions import NOTHING_CHANGED, ServerError, TableError
from airflow_provider_sync.sync.tables.version2.compared_segments import ComparedSegments
from airflow_provider_sync.sync.tables.version2.source_digests import digest_source_again


def refuse_unstable_query(client: SyncClient, database: Database, compared: ComparedSegments) -> None:
    """Digest a view or a query of the source twice in one snapshot, in which only the query itself can make a difference.

    To be called when rows are not those that were announced, since it costs two scans. Nothing is decided for a table, and if the
    server cannot hold a snapshot now.

    :raises TableError: if the two digests differ
    """
    capabilities = client.capabilities()
    if not compared.described.derived or capabilities is None or not capabilities.snapshots:
        return
    name = compared.target.name
    try:
        with nullcontext() if client.snapshot else client.holding_snapshot([name]):
            first = dict(digest_source_again(client, database, compared))
            is_stable = dict(digest_source_again(client, database, compared)) == first
    except ServerError as error:
        if not error.retryable:
            raise
        return  # the limit of snapshots, for example: the sync goes on without this check
    if not is_stable:
        raise TableError(
            f"Table {name!r}: the server's view or query answered differently twice although its data was the same, as with"
            " ORDER BY random(), TABLESAMPLE or a random value. Such rows cannot be compared.",
            NOTHING_CHANGED,
            "Let its rows depend on the data only, as with ORDER BY the key and LIMIT, or fill a table from it and offer that.",
        )
