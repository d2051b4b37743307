"""Run a sync of all tables and directories of a client configuration, or of some of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain
from typing import Any, Self

import msgspec
from sqlalchemy import Engine

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import ClientConfig, TargetDirectory, TargetTable, cache_path, connection_url
from airflow_provider_sync.config.table_patterns import entry_for, selects
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import database_for, missing_file
from airflow_provider_sync.exceptions import ConfigurationError, RefusedDeletes, SyncError
from airflow_provider_sync.files import Storage, open_storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.protocol.v2.messages import Described
from airflow_provider_sync.report import DirectoryReport, Report, TableReport
from airflow_provider_sync.sync.consistent_run import consistent_snapshot
from airflow_provider_sync.sync.directories.pipeline import sync_directory
from airflow_provider_sync.sync.gone_tables import drop_gone, gone_warnings, with_warnings
from airflow_provider_sync.sync.guards import allowing
from airflow_provider_sync.sync.kept_apart import check_kept_apart
from airflow_provider_sync.sync.new_file import describe_for_new_file
from airflow_provider_sync.sync.other_connections import OtherTables
from airflow_provider_sync.sync.outcomes import Outcomes
from airflow_provider_sync.sync.pattern_resolution import expand, offered_tables
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.tables.pipeline import sync_tables
from airflow_provider_sync.sync.tables.version2.small_tables import KnownAhead
from airflow_provider_sync.sync.traffic import Measure


class Opener(msgspec.Struct, frozen=True, kw_only=True):
    """Opens databases by their URLs and storages by the paths of directories.

    The defaults work without Airflow; commands and operators pass openers that resolve Airflow connections.
    """

    engine: Callable[[str], Engine] = open_engine
    storage: Callable[[str], Storage] = open_storage

    @contextmanager
    def database(self, url: str) -> Iterator[Database]:
        """Open the database at ``url``, and dispose of its engine at the end of the block."""
        with _disposed(self.engine(url)) as engine:
            yield database_for(engine)

    @contextmanager
    def existing_database(self, url: str) -> Iterator[Database]:
        """Open the database at ``url``; a database file that is missing appears empty and is not created."""
        with _disposed(self.engine(url)) as engine:
            if not _creates_file(engine):
                yield database_for(engine)
                return
        in_memory = engine.url.set(database="").render_as_string(hide_password=False)
        with _disposed(self.engine(in_memory)) as empty:
            yield database_for(empty)

    def creates_file(self, url: str) -> bool:
        """Whether :meth:`database` would create a database file that is missing."""
        with _disposed(self.engine(url)) as engine:
            return _creates_file(engine)


def _creates_file(engine: Engine) -> bool:
    file = missing_file(engine)
    return file is not None and file.parent.is_dir()


@contextmanager
def _disposed(engine: Engine) -> Iterator[Engine]:
    try:
        yield engine
    finally:
        engine.dispose()


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The tables and directories that a run syncs.

    :ivar tables: tables by database URL, since tables of one connection may share a transaction
    :ivar patterns: entries with patterns, in the order of the configuration, each with its database URL
    """

    tables: dict[str, tuple[TargetTable, ...]]
    directories: tuple[TargetDirectory, ...]
    patterns: tuple[tuple[str, TargetTable], ...] = ()

    @classmethod
    def of(cls, tables: Iterable[tuple[str, TargetTable]], directories: Iterable[TargetDirectory] = ()) -> Self:
        """Return a plan, with the tables grouped by database.

        :param tables: entries, each with its database URL
        """
        entries = list(tables)
        return cls(
            tables=_by_url(entry for entry in entries if not entry[1].is_pattern),
            directories=tuple(directories),
            patterns=tuple(entry for entry in entries if entry[1].is_pattern),
        )

    def resolved(self, client: SyncClient) -> Self:
        """Return the plan with its patterns expanded to tables; ask the server only if there are patterns.

        :raises ConfigurationError: if a pattern matches no table, or the server cannot list its tables
        """
        if not self.patterns:
            return self
        named = [(url, table) for url, tables in self.tables.items() for table in tables]
        matched = expand(self.patterns, offered_tables(client, self.patterns), {table.name for _, table in named})
        return msgspec.structs.replace(self, tables=_by_url([*named, *matched]))

    def allowing(self, refused: Sequence[RefusedDeletes]) -> Self:
        """Return the plan with options that allow exactly the refused deletions.

        :raises ConfigurationError: if the plan lacks one of their tables or directories
        """
        tables = {table.name: (url, table) for url, tables in self.tables.items() for table in tables}
        directories = {directory.name: directory for directory in self.directories}
        drops = {entry.name: entry for entry in refused if entry.kind == "tables"}
        patterns = [(url, allowing(table, drops[table.name]) if table.name in drops else table) for url, table in self.patterns]
        for entry in refused:
            if entry.kind == "tables":
                continue
            if entry.kind == "table":
                url, table = self.find_table(entry.name)
                tables[entry.name] = url, allowing(table, entry)
            else:
                directories[entry.name] = allowing(self.find_directory(entry.name), entry)
        return msgspec.structs.replace(
            self, tables=_by_url(tables.values()), directories=tuple(directories.values()), patterns=tuple(patterns)
        )

    def set_by_flags(self, **options: Any) -> Self:
        """Return the plan with these options, already validated, set on every table and directory."""
        return type(self).of(
            [
                *((url, table.set_by_flags(**options)) for url, tables in self.tables.items() for table in tables),
                *((url, pattern.set_by_flags(**options)) for url, pattern in self.patterns),
            ],
            [directory.set_by_flags(**options) for directory in self.directories],
        )

    def patterns_of(self, url: str) -> list[TargetTable]:
        """Return the patterns whose tables are in one database."""
        return [pattern for of, pattern in self.patterns if of == url]

    @property
    def dropping(self) -> list[str]:
        """URLs of the databases in which a pattern may drop tables."""
        return list(dict.fromkeys(url for url, pattern in self.patterns if pattern.drop_missing))

    @property
    def all_tables(self) -> list[TargetTable]:
        """The tables of all databases."""
        return list(chain.from_iterable(self.tables.values()))

    @property
    def table_names(self) -> list[str]:
        """Names of the tables, and patterns."""
        return [
            *(table.name for table in self.all_tables),
            *(pattern.name for _, pattern in self.patterns),
        ]

    @property
    def names(self) -> list[str]:
        """Names of the tables, patterns and directories."""
        return [*self.table_names, *(directory.name for directory in self.directories)]

    def find_table(self, name: str) -> tuple[str, TargetTable]:
        """Return the database URL and the options of a table that the previous step named.

        :raises ConfigurationError: if the plan does not contain it
        """
        for url, tables in self.tables.items():
            for table in tables:
                if table.name == name:
                    return url, table
        for url, pattern in self.patterns:
            if selects(pattern, name):
                return url, pattern.named(name)
        raise ConfigurationError(f"The step before names the table {name!r}, which 'tables' does not. Give all steps the same.")

    def find_directory(self, name: str) -> TargetDirectory:
        """Return the options of a directory that the previous step named.

        :raises ConfigurationError: if the plan does not contain it
        """
        for directory in self.directories:
            if directory.name == name:
                return directory
        raise ConfigurationError(
            f"The step before names the directory {name!r}, which 'directories' does not. Give all steps the same."
        )


def plan_run(config: ClientConfig, *, tables: Sequence[str] = (), directories: Sequence[str] = ()) -> RunPlan:
    """Plan the sync of the named tables and directories, or of everything in the configuration if none is named.

    :param tables: names in the configuration, or names that its patterns match
    :raises ConfigurationError: if a name is not in the configuration
    """
    everything = not tables and not directories
    entries = list(config.tables.values()) if everything else _named_tables(config, tables)
    for name in directories:
        if name not in config.directories:
            raise _not_configured(name, "directories", config.directories)
    return RunPlan.of(
        ((connection_url(config.connections, config.default_connection, table), table) for table in entries),
        (_with_defaults(entry, config) for name, entry in config.directories.items() if everything or name in directories),
    )


def _with_defaults(directory: TargetDirectory, config: ClientConfig) -> TargetDirectory:
    """Return the options of a directory, with the configuration's defaults for options that it does not set."""
    if directory.files_per_request is not None:
        return directory
    return directory.model_copy(update={"files_per_request": config.files_per_request})


def _named_tables(config: ClientConfig, names: Sequence[str]) -> list[TargetTable]:
    """Return the entries with these names, in the order of the configuration, then entries for names that patterns match."""
    matched: dict[str, TargetTable] = {}
    for name in names:
        entry = entry_for(name, config.tables)
        if entry is None:
            raise _not_configured(name, "tables", config.tables)
        if entry.name != name:
            matched[name] = entry.named(name)
    return [*(table for name, table in config.tables.items() if name in names), *matched.values()]


def _not_configured(name: str, group: str, known: Iterable[str]) -> ConfigurationError:
    names = list(known)
    meant = did_you_mean(name, names)
    return ConfigurationError(
        f"{name!r} is not under {group} in the configuration.{meant} There are: {', '.join(names) or 'none'}."
    )


def _by_url(entries: Iterable[tuple[str, TargetTable]]) -> dict[str, tuple[TargetTable, ...]]:
    by_url: dict[str, list[TargetTable]] = {}
    for url, table in entries:
        by_url.setdefault(url, []).append(table)
    return {url: tuple(tables) for url, tables in by_url.items()}


def run(
    config: ClientConfig,
    plan: RunPlan,
    *,
    opener: Opener | None = None,
    dry_run: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[Report]:
    """Sync all tables and directories of ``plan``, and continue after failures.

    :param resume: after a transient failure, keep the staged rows for the next attempt; see :func:`.sync_tables`
    :return: one report for each table and directory
    :raises ConfigurationError: if a pattern matches no table; nothing was written
    :raises SyncFailed: if any failed, with the reports of all
    """
    opener = opener or Opener()
    outcomes = Outcomes[Report]()
    with SyncClient.from_config(config) as client, DigestCache(cache_path(config.cache)) as cache:
        asking = Measure(client)
        plan = plan.resolved(client)
        together = plan.all_tables
        with outcomes.going_on(partial(tables_failed, together)), consistent_snapshot(client, config, together):
            for url, tables in plan.tables.items():
                with (
                    outcomes.going_on(partial(tables_failed, tables)),
                    opened_tables(
                        client, plan, url, opener, dry_run=dry_run, single_transaction=config.single_transaction
                    ) as opened,
                ):
                    reports = sync_tables(
                        client,
                        tables,
                        opened.database,
                        single_transaction=config.single_transaction,
                        dry_run=dry_run,
                        resume=resume,
                        progress=progress,
                        elsewhere=_watched(opener, plan.tables, url),
                        ahead=opened.ahead,
                        earlier=[asking.so_far()],
                    )
                    outcomes.add(with_warnings(reports, opened.warnings))
                asking = Measure(client)
        for directory in plan.directories:
            with outcomes.going_on(partial(directory_failed, directory)):
                storage = opener.storage(directory.path)
                outcomes.add([sync_directory(client, directory, storage, dry_run=dry_run, progress=progress, cache=cache)])
        for url in () if outcomes.failures else plan.dropping:
            with outcomes.going_on(partial(tables_failed, [])):
                outcomes.add(dropped_tables(client, plan, url, opener, dry_run=dry_run))
    outcomes.check(outcomes.found)
    return outcomes.found


class OpenedTables(msgspec.Struct, frozen=True, kw_only=True):
    """The opened database of some tables.

    :ivar warnings: warnings of tables that the source offers no longer; see :func:`.gone_warnings`
    :ivar ahead: what is known about all of the tables, if they are created in a new file
    """

    database: Database
    warnings: Mapping[str, str]
    ahead: KnownAhead | None


@contextmanager
def opened_tables(
    client: SyncClient,
    plan: RunPlan,
    url: str,
    opener: Opener,
    *,
    dry_run: bool,
    single_transaction: bool,
    in_steps: bool = False,
) -> Iterator[OpenedTables]:
    """Open the database of some tables of a resolved plan, and check that no two of its entries share a target table.

    A database file that is missing is created only if tables will be created in it; otherwise it appears empty, and the sync
    fails. See :mod:`.new_file`.

    :param single_transaction: whether all tables are merged in one transaction
    :param in_steps: whether the other tables are compared if one fails
    :raises ConfigurationError: when two do
    :raises SyncError: if the file is missing, and the server refuses or does not answer
    """
    tables, patterns = plan.tables[url], plan.patterns_of(url)
    creates_file = not dry_run and any(table.create_table for table in tables)
    described: Mapping[str, Described] | None = None
    if creates_file and opener.creates_file(url):
        with opener.existing_database(url) as empty:
            described = describe_for_new_file(client, empty, tables, all_or_none=single_transaction and not in_steps)
        creates_file = described is not None
    with opener.database(url) if creates_file else opener.existing_database(url) as database:
        check_kept_apart(
            database,
            tables,
            other_tables(opener, plan.tables, url),
            by_patterns=bool(patterns),
            single_transaction=single_transaction,
        )
        ahead = None if described is None else KnownAhead(described=described)
        yield OpenedTables(database=database, warnings=gone_warnings(database, patterns, tables), ahead=ahead)


def dropped_tables(client: SyncClient, plan: RunPlan, url: str, opener: Opener, *, dry_run: bool) -> list[TableReport]:
    """Drop the tables of one database that the source offers no longer; see :func:`.drop_gone`."""
    with opener.existing_database(url) as database:
        others = other_tables(opener, plan.tables, url)
        return drop_gone(client, database, plan.patterns_of(url), plan.tables.get(url, ()), others=others, dry_run=dry_run)


def other_tables(opener: Opener, by_url: Mapping[str, Sequence[TargetTable]], url: str) -> OtherTables:
    """Return the tables that a run syncs over URLs other than this one."""
    return [(partial(opener.existing_database, other), tables) for other, tables in by_url.items() if other != url]


def _watched(opener: Opener, by_url: Mapping[str, Sequence[TargetTable]], url: str) -> OtherTables:
    """Return tables of other URLs that no trigger may change: those synced earlier, and those with rows of their own."""
    urls = list(by_url)
    later = urls[urls.index(url) :]
    watched = {
        of: [table for table in tables if of not in later or table.has_rows_beside_source] for of, tables in by_url.items()
    }
    return other_tables(opener, watched, url)


def tables_failed(tables: Sequence[TargetTable], error: SyncError) -> Sequence[Report]:
    """Return the reports of an error, or make them if the error has none, as when the database could not be opened."""
    return error.reports or [TableReport(name=table.name, status="failed", error=str(error)) for table in tables]


def directory_failed(directory: TargetDirectory, error: SyncError) -> Sequence[Report]:
    """Return the report of an error, or make it if the error has none."""
    return error.reports or [DirectoryReport(name=directory.name, status="failed", error=str(error))]
