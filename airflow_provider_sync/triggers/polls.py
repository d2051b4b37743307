"""Request the source's digest from the triggerer's event loop.

Triggers only ask the source. Tasks compare it with the target, since the triggerer may not reach the target's database or disk.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.sync import Watched, source_digest

MAX_SECONDS = 1800.0
"""Default time limit of one poll, in seconds: the source scans the table, or hashes the files."""

THREADS_PER_SERVER = 8


@cache
def _threads(sync_conn_id: str) -> ThreadPoolExecutor:
    """Return the thread pool for polls of one server.

    The event loop's default pool is not used, since all triggers of the triggerer share it. Each server has its own pool, so that
    a slow server does not delay polls of other servers.
    """
    return ThreadPoolExecutor(THREADS_PER_SERVER, thread_name_prefix="sync-poll")


async def poll(sync_conn_id: str, watched: Watched, *, known: str | None = None, max_seconds: float = MAX_SECONDS) -> str:
    """Request the digest of a table or directory once; see :func:`~airflow_provider_sync.sync.source_digest`.

    A failed request is not retried, since the next poll asks again. If the poll is cancelled, its thread ends within about a
    second.

    :param known: the digest of the previous poll
    :param max_seconds: time limit, in seconds, from when a thread is free
    :raises ConfigurationError: if the connection does not exist
    :raises SyncError: if the source does not answer, or answers with an error
    """
    config = await SyncServerHook(sync_conn_id).aget_config()
    client = SyncClient.from_config(config.model_copy(update={"retries": 0}))

    def ask() -> str:
        with client, client.within(max_seconds):
            return source_digest(client, watched, known=known)

    try:
        # The connection is read above, outside the thread: on Airflow 3.1, a thread's requests to the triggerer are lost.
        return await asyncio.get_running_loop().run_in_executor(_threads(sync_conn_id), ask)
    except asyncio.CancelledError:
        client.give_up()
        raise
