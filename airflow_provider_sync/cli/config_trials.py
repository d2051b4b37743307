"""Try the server, databases, tables and directories of a configuration without changing anything: for ``check --connect``."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

from airflow_provider_sync.cli.opener import OPENER
from airflow_provider_sync.cli.table_sizes import describe_tables
from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.connection_settings import shown_url
from airflow_provider_sync.config import (
    ClientConfig,
    ServerConfig,
    SourceDirectory,
    SourceTable,
    TableConfig,
    TargetDirectory,
    TargetTable,
    Token,
    connection_url,
)
from airflow_provider_sync.config.source_tables import listed_conditions
from airflow_provider_sync.config.table_patterns import entry_for, is_pattern, selects
from airflow_provider_sync.config.tls import ServerTLS
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.file_access import check_folder_writable
from airflow_provider_sync.databases.near_tables import with_near_table
from airflow_provider_sync.databases.registry import entry_of, missing_file
from airflow_provider_sync.databases.schema import Table
from airflow_provider_sync.databases.version1_hash import load_hasher as load_table_hasher
from airflow_provider_sync.exceptions import (
    FileError,
    MissingTableError,
    SyncError,
    TableError,
    TransportError,
    wrap_unexpected_errors,
)
from airflow_provider_sync.files.hashers import load_hasher
from airflow_provider_sync.merge.staging import PERMANENT
from airflow_provider_sync.near_names import did_you_mean
from airflow_provider_sync.printable import with_notes
from airflow_provider_sync.server.process.tls import certificate_end, tls_context
from airflow_provider_sync.server.sources import no_file
from airflow_provider_sync.server.tables.first_request import try_first_request
from airflow_provider_sync.server.tables.offered_tables import matched_tables, names_where
from airflow_provider_sync.server.tables.open_table import find_table
from airflow_provider_sync.sync.directories.directory_pair import version_for
from airflow_provider_sync.sync.tables.target import resolve_target
from airflow_provider_sync.sync.tables.version1.download import refuse_window

AnyTable = TypeVar("AnyTable", bound=TableConfig)
TryTable = Callable[[Database, Connection, AnyTable], str]
Expand = Callable[[Database, Connection, list[AnyTable]], list[AnyTable]]


@dataclass(frozen=True, slots=True)
class Trial:
    """One thing that was tried.

    :ivar what: ``certificate``, ``server``, ``connection``, ``table``, ``token`` or ``directory``
    :ivar name: name in the configuration, without credentials
    :ivar message: the result, or the reason of the failure
    """

    what: str
    name: str
    failed: bool
    message: str

    @property
    def mark(self) -> str:
        """The mark in the table that shows whether the trial failed."""
        return "FAILED" if self.failed else "ok"


def try_client(config: ClientConfig) -> Iterator[Trial]:
    """Ask the server what it offers, open every database and directory, and look for every table and its key."""
    offered = yield from _try_server_of(config)
    tables = _expanded(config, offered or ())
    sends_types = offered is not None
    yield from _try_databases(
        config.connections,
        config.default_connection,
        tables,
        partial(_target_table, sends_types=sends_types),
        missing=partial(_target_without_file, sends_types=sends_types),
    )
    for directory in config.directories.values():
        yield _trial("directory", directory.name, partial(_target_directory, directory, lists_files=offered is not None))


def try_server(config: ServerConfig) -> Iterator[Trial]:
    """Open every database and directory, and look for every table, its key, the columns that options name, and tokens' rows."""
    if config.tls is not None:
        yield _trial("certificate", config.tls.certificate, partial(_certificate, config.tls))
    try_table = partial(_source_table, mask_key=config.mask_key or "")
    yield from _try_databases(config.connections, config.default_connection, config.tables.values(), try_table, expand=_matched)
    for position, token in enumerate(config.tokens):
        for name in token.where:
            shown = f"{token.name or f'tokens[{position}]'}:{name}"
            yield _trial("token", shown, partial(_table_of_token, config, token, name))
    for directory in config.directories.values():
        hasher = directory.hasher or config.default_file_hasher
        yield _trial("directory", directory.name, partial(_source_directory, directory, hasher))


def _certificate(tls: ServerTLS) -> str:
    tls_context(tls)
    end = certificate_end(tls)
    return "the key belongs to it" if end is None else f"the key belongs to it, valid until {end:%Y-%m-%d %H:%M} UTC"


def _trial(what: str, name: str, attempt: Callable[[], str]) -> Trial:
    try:
        with wrap_unexpected_errors():
            return Trial(what, name, False, attempt())
    except SyncError as error:
        # The notes are what clients must not see; whoever may read the configuration may see them.
        return Trial(what, name, True, with_notes(error))


def _try_server_of(config: ClientConfig) -> Generator[Trial, None, Sequence[str] | None]:
    """Ask the server for the names of its tables, and return them: none if it fails, ``None`` if it is of version 1.

    Also request the description of each configured table: one that the server cannot describe cannot be synced.
    """
    server = shown_url(config.url)
    try:
        with wrap_unexpected_errors(), SyncClient.from_config(config.model_copy(update={"retries": 0})) as client:
            offered = client.capabilities()
            if client.protocol_for() == 1:
                client.ping()  # a web page, a wrong address, and `protocol: 1` look like version 1, too
            wanted = [name for name in offered.tables if entry_for(name, config.tables)] if offered else []
            described = describe_tables(client, wanted)
    except SyncError as error:
        yield Trial("server", server, True, str(error))
        return ()
    if offered is None:
        patterns = ", ".join(name for name in config.tables if is_pattern(name))
        remedy = f"; name the tables one by one, instead of {patterns}" if patterns else ""
        remedy += "; leave consistent out, since it cannot hold a snapshot" if config.consistent and config.tables else ""
        yield Trial("server", server, bool(remedy), f"version 1 of the protocol, which cannot say what it offers{remedy}")
        return None
    found = f"version 2 of the protocol, tables offered: {len(offered.tables)}, directories: {len(offered.directories)}"
    yield Trial("server", server, False, found)
    for name, table in config.tables.items():
        if not any(selects(table, other) for other in offered.tables):
            yield Trial("server", name, True, not_offered(name, offered.tables))
    for name in config.directories:
        if name not in offered.directories:
            yield Trial("server", name, True, not_offered(name, offered.directories))
    for name, answer in described.items():
        if isinstance(answer, str):
            yield Trial("server", name, True, answer)
    return tuple(offered.tables)


def not_offered(name: str, names: Iterable[str]) -> str:
    """Say that the server does not offer a name, and which ones it does."""
    offered = list(names)
    return f"The server does not offer it to this client.{did_you_mean(name, offered)} It offers: {', '.join(offered) or 'none'}."


def _expanded(config: ClientConfig, offered: Sequence[str]) -> list[TargetTable]:
    """Return the configured tables, with patterns expanded to the tables that they match; keep a pattern without a match."""
    tables: dict[str, TargetTable] = {}
    for name, entry in config.tables.items():
        matched = [other for other in offered if entry.is_pattern and entry_for(other, config.tables) is entry]
        tables |= {other: entry.named(other) for other in matched} or {name: entry}
    return list(tables.values())


def _try_databases(
    connections: Mapping[str, str],
    default: str | None,
    tables: Iterable[AnyTable],
    attempt: TryTable[AnyTable],
    *,
    expand: Expand[AnyTable] | None = None,
    missing: Callable[[AnyTable], str] | None = None,
) -> Iterator[Trial]:
    """Open each database once, even if no table uses it, and try its tables.

    :param expand: finds the tables that patterns match
    :param missing: tries a table of a database whose file a run would create; ``None`` if database files must exist
    """
    by_url: dict[str, list[AnyTable]] = {url: [] for url in connections.values()}
    for table in tables:
        by_url.setdefault(connection_url(connections, default, table), []).append(table)
    names = {url: name for name, url in connections.items()}
    for url, group in by_url.items():
        yield from _try_database(names.get(url), url, group, attempt, expand, missing)


def _try_database(
    name: str | None,
    url: str,
    tables: list[AnyTable],
    attempt: TryTable[AnyTable],
    expand: Expand[AnyTable] | None,
    missing: Callable[[AnyTable], str] | None,
) -> Iterator[Trial]:
    # A URL may hold a password.
    shown = name or f"of table {tables[0].name}"
    try:
        with wrap_unexpected_errors(), OPENER.database(url) as opened:
            # Opening it would create an empty database.
            if (file := missing_file(opened.engine)) is not None:
                if missing is None:
                    raise TransportError(no_file(file))
                if file.parent.is_dir():
                    yield _trial("connection", shown, partial(_makes_file, file))
                    yield from (_trial("table", table.name, partial(missing, table)) for table in tables if not table.is_pattern)
                    return
            database = opened.with_session(allow_row_security=any(table.allow_row_security for table in tables))
            with database.snapshot() as connection:
                writes = missing is not None and bool(tables)
                yield _trial("connection", shown, partial(_opened, database, writes=writes))
                found = tables if expand is None else expand(database, connection, tables)
            for table in found:
                if not table.is_pattern:
                    yield _trial("table", table.name, partial(_in_snapshot, database, table, attempt))
                elif expand is not None:
                    yield Trial("table", table.name, True, "The pattern matches no table.")
    except SyncError as error:
        yield Trial("connection", shown, True, str(error))


def _makes_file(file: Path) -> str:
    check_folder_writable(file)
    return f"{file} is missing; a run makes it"


def _opened(database: Database, *, writes: bool) -> str:
    if writes:
        database.check_writable()
    return f"opened, {entry_of(database.engine).title}"


def views_of(url: str) -> dict[str, list[str] | TableError]:
    """Return, by view, its columns, or the error for which it cannot be described."""
    found: dict[str, list[str] | TableError] = {}
    with OPENER.database(url) as database:
        with database.translate_errors(), database.connect() as connection:
            names = database.catalog.list_views(connection)
        for name in names:
            try:
                with database.translate_errors(), database.connect() as connection:
                    found[name] = [column.name for column in database.catalog.describe(connection, name, views=True).columns]
            except TableError as error:
                found[name] = error
    return found


def _in_snapshot(database: Database, table: AnyTable, attempt: TryTable[AnyTable]) -> str:
    # Each in a snapshot of its own, so that an error about one view does not end the others.
    with database.snapshot() as connection:
        return attempt(database, connection, table)


def _matched(database: Database, connection: Connection, tables: list[SourceTable]) -> list[SourceTable]:
    """Return the tables of one database, and those that patterns match, each once; a pattern that matches none stays."""
    found = {table.name: table for table in tables if not table.is_pattern}
    for pattern in tables:
        if pattern.is_pattern:
            for table in list(matched_tables(pattern, names_where(pattern, database, connection))) or [pattern]:
                found.setdefault(table.name, table)
    return list(found.values())


def _target_table(database: Database, connection: Connection, options: TargetTable, *, sends_types: bool) -> str:
    try:
        target = resolve_target(database, connection, options)
    except MissingTableError as error:
        if not options.create_table:
            raise with_near_table(database, connection, options.table_name, error) from error
        if not database.catalog.has_schema_of(connection, options.table_name):
            raise TableError("There is no such schema in which a run could make it. Create it, or correct `table`.") from error
        return _missing(sends_types)
    target.check_rollback()
    stages = options.staging == PERMANENT
    if grants := database.privileges.missing_grants(target.table, target.mode.privileges, stages=stages):
        raise TableError(f"The user of this connection lacks privileges that a run needs: {'; '.join(grants)}.")
    if not sends_types:
        refuse_window(options)
        if options.hasher:
            load_table_hasher(options.hasher)
    return _found(target.table, target.key)


def _target_without_file(options: TargetTable, *, sends_types: bool) -> str:
    if not options.create_table:
        raise MissingTableError("There is no database, and so no such table. Set create_table, or correct the connection's path.")
    return _missing(sends_types)


def _missing(sends_types: bool) -> str:
    """Say what a run does about a missing target table with ``create_table``.

    :param sends_types: whether the server sends column types; servers of version 1 do not
    """
    if not sends_types:
        raise MissingTableError(
            "There is no such table, and a server of version 1 sends no types for create_table."
            " Create it; the error of a run shows a statement to begin with."
        )
    return "missing; a run makes it"


def _source_table(database: Database, connection: Connection, source: SourceTable, *, mask_key: str) -> str:
    with _naming_near_table(database, connection, source), find_table(database, source, connection, mask_key) as opened:
        opened.check_names("windows", source.windows)
        if source.hasher:
            load_table_hasher(source.hasher)
        found = _found(opened.table, opened.key(opened.offered_columns()))
        try_first_request(opened)
    return found


@contextmanager
def _naming_near_table(database: Database, connection: Connection, source: SourceTable) -> Iterator[None]:
    try:
        yield
    except MissingTableError as error:
        raise with_near_table(database, connection, source.table_name, error) from error


def _table_of_token(config: ServerConfig, token: Token, name: str) -> str:
    """Read a table as a token sees it whose ``where`` limits its rows.

    :raises MissingTableError: if a pattern offers no such table: the condition for a misspelt name would limit no rows
    """
    wanted = token.entries.get(name, name)
    entry = entry_for(wanted, config.tables)
    if entry is None:
        raise MissingTableError(f"No table is offered as {wanted!r}.")
    table = entry.named(wanted) if entry.is_pattern else entry
    with OPENER.database(connection_url(config.connections, config.default_connection, table)) as opened:
        if (file := missing_file(opened.engine)) is not None:
            raise TransportError(no_file(file))
        database = opened.with_session(allow_row_security=table.allow_row_security)
        with database.snapshot() as connection:
            if entry.is_pattern:
                names = [found.name for found in matched_tables(entry, names_where(entry, database, connection))]
                if wanted not in names:
                    raise MissingTableError(
                        f"The pattern {entry.name!r} offers no table {wanted!r}, so this where limits no rows that the token"
                        f" sees.{did_you_mean(wanted, names)}"
                    )
            seen = table.seen_as(name, listed_conditions(token.where[name]))
            return _source_table(database, connection, seen, mask_key=config.mask_key or "")


def _found(table: Table, key: Sequence[str]) -> str:
    return f"{table} with {len(table.columns)} columns, key {', '.join(key)}"


def _source_directory(directory: SourceDirectory, hasher: str) -> str:
    load_hasher(hasher)
    _first_file(directory.path, missing_ok=False)
    return f"{directory.path} can be read"


def _target_directory(directory: TargetDirectory, *, lists_files: bool) -> str:
    if directory.hasher:
        load_hasher(directory.hasher)
    version_for(directory, lambda: lists_files)
    _first_file(directory.path, missing_ok=True)
    if "://" in directory.path:
        return f"{directory.path} can be read; whether it can be written shows only in a run"
    path = Path(directory.path).expanduser().absolute()
    existing = next(folder for folder in (path, *path.parents) if folder.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise FileError(f"{existing} cannot be written. Give the user of this process write permission, or name another path.")
    return f"{path} can be read and written" if existing == path else f"{path} is missing; a run makes it"


def _first_file(path: str, *, missing_ok: bool) -> None:
    """Open a directory, and read its beginning.

    :raises SyncError: when it cannot be read
    """
    for _ in OPENER.storage(path).scan(missing_ok=missing_ok):
        return
