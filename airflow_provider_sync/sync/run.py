"""A whole run: everything that a client configuration names, or the part of it that was asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec
from sqlalchemy import Engine

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetDirectory, TargetTable, cache_path, connection_url
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.files import Storage, open_storage
from airflow_provider_sync.files.digest_cache import open_cache
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sync.directories.pipeline import sync_directory
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.tables.pipeline import sync_tables


class Opener(msgspec.Struct, frozen=True, kw_only=True):
    """How URLs of databases and paths of directories become something open.

    The defaults know nothing of Airflow; the commands and operators bring openers that know its connections.
    """

    engine: Callable[[str], Engine] = open_engine
    storage: Callable[[str], Storage] = open_storage

    @contextmanager
    def database(self, url: str) -> Iterator[Database]:
        """Open the database at ``url`` and dispose of its engine at the end."""
        engine = self.engine(url)
        try:
            yield database_for(engine)
        finally:
            engine.dispose()


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has to do.

    :ivar tables: by database URL, since the tables of one connection may share a transaction
    """

    tables: dict[str, tuple[TargetTable, ...]]
    directories: tuple[TargetDirectory, ...]

    def find_table(self, name: str) -> tuple[str, TargetTable]:
        """Return the database URL and the options of a table that the step before has named.

        :raises ConfigurationError: when this plan does not have it
        """
        for url, tables in self.tables.items():
            for table in tables:
                if table.name == name:
                    return url, table
        raise ConfigurationError(f"The step before names the table {name!r}, which 'tables' does not. Give all steps the same.")

    def find_directory(self, name: str) -> TargetDirectory:
        """Return the options of a directory that the step before has named.

        :raises ConfigurationError: when this plan does not have it
        """
        for directory in self.directories:
            if directory.name == name:
                return directory
        raise ConfigurationError(
            f"The step before names the directory {name!r}, which 'directories' does not. Give all steps the same."
        )


def plan_run(config: ClientConfig, *, tables: Sequence[str] = (), directories: Sequence[str] = ()) -> RunPlan:
    """Choose what to synchronise: what is named, or everything when nothing is named.

    :raises ConfigurationError: for a name that the configuration does not have
    """
    for group, names, known in (("tables", tables, config.tables), ("directories", directories, config.directories)):
        for name in names:
            if name not in known:
                raise ConfigurationError(
                    f"{name!r} is not under {group} in the configuration. There are: {', '.join(known) or 'none'}."
                )
    everything = not tables and not directories
    by_url: dict[str, list[TargetTable]] = {}
    for name, table in config.tables.items():
        if everything or name in tables:
            by_url.setdefault(connection_url(config.connections, config.default_connection, table), []).append(table)
    return RunPlan(
        tables={url: tuple(group) for url, group in by_url.items()},
        directories=tuple(entry for name, entry in config.directories.items() if everything or name in directories),
    )


def run(
    config: ClientConfig,
    plan: RunPlan,
    *,
    opener: Opener | None = None,
    dry_run: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[Report]:
    """Synchronise everything in ``plan``, the rest even when one fails.

    :param resume: after a transient failure, keep what was staged, for the next try; see :func:`.sync_tables`
    :return: one report for each table and directory
    :raises SyncFailed: when any failed, with the reports of all
    """
    opener = opener or Opener()
    outcomes = Outcomes[Report]()
    with SyncClient.from_config(config) as client, open_cache(cache_path(config.cache)) as cache:
        for url, tables in plan.tables.items():
            with outcomes.going_on(partial(tables_failed, tables)), opener.database(url) as database:
                outcomes.add(
                    sync_tables(
                        client,
                        tables,
                        database,
                        single_transaction=config.single_transaction,
                        dry_run=dry_run,
                        resume=resume,
                        progress=progress,
                    )
                )
        for directory in plan.directories:
            with outcomes.going_on(partial(directory_failed, directory)):
                storage = opener.storage(directory.path)
                options = with_defaults(directory, config)
                outcomes.add([sync_directory(client, options, storage, dry_run=dry_run, progress=progress, cache=cache)])
    outcomes.check(outcomes.found)
    return outcomes.found


def tables_failed(tables: Sequence[TargetTable], error: SyncError) -> Sequence[Report]:
    """Return the reports of an error, or make them: a database that cannot be opened is no reason to leave the others alone."""
    return error.reports or [TableReport(name=table.name, status="failed", error=str(error)) for table in tables]


def directory_failed(directory: TargetDirectory, error: SyncError) -> Sequence[Report]:
    """Return the report of an error, or make it."""
    return error.reports or [DirectoryReport(name=directory.name, status="failed", error=str(error))]


def with_defaults(directory: TargetDirectory, config: ClientConfig) -> TargetDirectory:
    """Return the options of a directory, with what the configuration says for all of them."""
    if directory.files_per_request is not None:
        return directory
    return directory.model_copy(update={"files_per_request": config.files_per_request})
