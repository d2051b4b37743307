"""Ask the source for its digest, from the triggerer's event loop.

Triggers ask only the source. Comparing it with the target is left to tasks: the triggerer may not reach the target's database or
disk.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.hooks.sync_server import SyncServerHook
from airflow_provider_sync.sync import Watched, source_digest

MAX_SECONDS = 1800.0
"""How long one poll may take: the source scans the table, or hashes the files."""

THREADS_PER_SERVER = 8


@cache
def _threads(sync_conn_id: str) -> ThreadPoolExecutor:
    """Return the threads for one server.

    The threads of the event loop serve all triggers of the triggerer, so they are not used here. Each server has its own, so that
    polls of a slow server delay no polls of other servers.
    """
    return ThreadPoolExecutor(THREADS_PER_SERVER, thread_name_prefix="sync-poll")


async def poll(sync_conn_id: str, watched: Watched, *, known: str | None = None, max_seconds: float = MAX_SECONDS) -> str:
    """Ask once for the digest of a table or directory; see :func:`~airflow_provider_sync.sync.source_digest`.

    Failed requests are not retried: the next poll does that. When the poll is cancelled, its thread ends within a second or so.

    :param known: the digest of the poll before
    :param max_seconds: how long it may take, from when a thread is free
    :raises ConfigurationError: when there is no such connection
    :raises SyncError: when the source does not answer, or with an error
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
