"""Ask the source for its state from the triggerer's event loop.

A trigger asks the source alone. The target is left to tasks: its database, its driver or its disk may be out of the triggerer's
reach.
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

    Not those of the event loop, which serve all triggers of the triggerer; and some for each server, so that one that takes its
    time, or does not answer at all, keeps nobody waiting but its own.
    """
    return ThreadPoolExecutor(THREADS_PER_SERVER, thread_name_prefix="sync-poll")


async def poll(sync_conn_id: str, watched: Watched, *, max_seconds: float = MAX_SECONDS) -> str:
    """Ask once for the digest of a table or directory; see :func:`~airflow_provider_sync.sync.source_digest`.

    Nothing is repeated here: the next poll is the repetition. When it is cancelled, the thread ends within a second or so.

    :param max_seconds: how long it may take, from when a thread is free
    :raises ConfigurationError: when there is no such connection
    :raises SyncError: when the source does not answer, or with an error
    """
    config = await SyncServerHook(sync_conn_id).aget_config()
    client = SyncClient.from_config(config.model_copy(update={"retries": 0}))

    def ask() -> str:
        with client, client.within(max_seconds):
            return source_digest(client, watched)

    try:
        # Connections were read above: in Airflow 3.1, what a thread asks its triggerer gets lost.
        return await asyncio.get_running_loop().run_in_executor(_threads(sync_conn_id), ask)
    except asyncio.CancelledError:
        client.give_up()
        raise
