"""Find all deletions that the guards refuse in a run, with examples, so that a person can decide about them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, cache_path
from airflow_provider_sync.exceptions import RefusedDeletes, SyncError
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.sync.directories.diff import diff_directory
from airflow_provider_sync.sync.run import Opener, RunPlan
from airflow_provider_sync.sync.tables.diff import diff_table

MAX_EXAMPLES = 10
"""Maximum number of example keys or paths for each table or directory."""


def find_refused(attempt: Callable[[RunPlan], object], plan: RunPlan, first: Sequence[RefusedDeletes]) -> list[RefusedDeletes]:
    """Return all deletions that the guards would refuse in a run, by repeated dry runs, since a transaction stops at its first.

    :param attempt: makes a dry run of a plan; each plan allows the refused deletions that are known so far
    :param first: the refused deletions that are known at first
    :raises SyncError: if the run would fail for another reason
    """
    refused = list(first)
    while True:
        try:
            attempt(plan.allowing(refused))
        except SyncError as error:
            known = {(entry.kind, entry.name) for entry in refused}
            more = [entry for entry in error.refused if (entry.kind, entry.name) not in known]
            if not more:
                raise
            refused += more
        else:
            return refused


def find_examples(config: ClientConfig, plan: RunPlan, refused: RefusedDeletes, *, opener: Opener) -> list[str]:
    """Return some of the keys or paths that would be deleted; none with version 1, or if the search for them fails.

    :param plan: a plan whose options allow the refused deletions
    """
    with suppress(SyncError), SyncClient.from_config(config) as client:
        return list(_examples(client, config, plan, refused, opener))
    return []


def _examples(client: SyncClient, config: ClientConfig, plan: RunPlan, refused: RefusedDeletes, opener: Opener) -> Iterator[str]:
    if refused.kind == "tables":
        yield from refused.names[:MAX_EXAMPLES]
        return
    if refused.kind == "table":
        url, table = plan.find_table(refused.name)
        with opener.existing_database(url) as database:
            changes = diff_table(client, table, database, max_keys=MAX_EXAMPLES).changes
        yield from (", ".join(key) for key in (changes.deleted if changes else ()))
        return
    directory = plan.find_directory(refused.name)
    with DigestCache(cache_path(config.cache)) as cache:
        found = diff_directory(client, directory, opener.storage(directory.path), cache=cache)
    yield from [change.path for change in found.changes if change.change == "delete"][:MAX_EXAMPLES]
