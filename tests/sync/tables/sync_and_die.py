"""A sync of one table in a process that kills itself at a given moment, as the kernel does when memory runs out."""

from __future__ import annotations

import os
import signal
from typing import Any

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import table_from_options
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.databases.sqlite import text_load as sqlite_text_load
from airflow_provider_sync.merge.merge import TableMerge
from airflow_provider_sync.merge.staging import PermanentStaging
from airflow_provider_sync.sync import sync_tables
from airflow_provider_sync.sync.tables.version2 import batch_sizes
from tests.sync.link import Link
from tests.sync.tables.forked import run_forked

DOWNLOAD, HALFWAY, MERGE, END = "download", "halfway", "merge", "end"
"""While rows are loaded into the staging table, at once or after some; with all changes written and nothing committed; with
everything committed."""


def die(*_: Any, **__: Any) -> None:
    """End this process at once, without any clearing up."""
    os.kill(os.getpid(), signal.SIGKILL)


class Halfway:
    """A progress that dies after some rows."""

    rows = 0

    def __call__(self, name: str, amount: int, unit: str, total: int | None = None) -> None:
        """Count rows."""
        self.rows += amount
        if self.rows > 10_000:
            die()


def sync_and_die(link: Link, moment: str) -> int:
    """Sync the table ``t`` in a process that is killed at a moment, and return its exit code."""
    url = link.target.database.engine.url.render_as_string(hide_password=False)
    link.target.let_go()
    with link.client("t") as client:
        return run_forked(_sync_and_die, client.url, url, moment)


def _sync_and_die(server_url: str, database_url: str, moment: str) -> None:
    if moment == MERGE:
        TableMerge.verify = die  # type: ignore[method-assign]  # there is no other way to be there at that moment
    if moment == END:
        PermanentStaging.drop = die  # type: ignore[method-assign]  # as above
    if moment == HALFWAY:
        batch_sizes.LOAD_BYTES = sqlite_text_load._TRANSACTION_BYTES = 256 * 1024
    progress = {DOWNLOAD: die, HALFWAY: Halfway()}.get(moment)
    with SyncClient(server_url, retries=0) as client:
        target = database_for(open_engine(database_url))
        sync_tables(client, [table_from_options("t", {})], target, progress=progress)
