"""The registry of database engines: one entry for each, with everything needed before a database is opened.

Code outside of this package asks an entry, never which engine it is. An engine's package is imported only when its first database
is opened, since importing all of them would slow down every Airflow process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from sqlalchemy import URL, Engine
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect

from airflow_provider_sync.exceptions import ConfigurationError

if TYPE_CHECKING:
    from airflow_provider_sync.databases.base import Database

CONNECT_SECONDS = 15
"""Seconds that a database server may take to answer a new connection."""


def _nothing(_engine: Engine) -> None:
    """Do nothing to an engine."""


def _never(_url: URL) -> bool:
    return False


def _no_file(_url: URL) -> Path | None:
    return None


def _connect(dialect: Dialect, arguments: dict[str, Any]) -> DBAPIConnection:
    return dialect.connect(**arguments)


class EngineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of database.

    :ivar title: name in messages
    :ivar backend: SQLAlchemy's name of the engine, with which a URL begins
    :ivar aliases: other names with which a URL may begin
    :ivar drivers: SQLAlchemy's names of the drivers, the best first, with the module that each imports; empty if SQLAlchemy's
        default driver is always installed
    :ivar driver_options: default connection options of these drivers; the URL may override them
    :ivar url_options: the only options that a URL may have; ``None`` if the driver itself refuses others
    :ivar unusable_options: driver arguments that must be Python objects, or with which no sync can work
    :ivar requirement: what to ``pip install`` for the drivers and the Airflow provider
    :ivar connection_types: types of Airflow connections to such a database
    :ivar url_from_hook: open an Airflow connection by its URL, since the connections of its hook can be used by one thread only
    :ivar load: imports the engine's package and returns its database class
    :ivar asset_uri: returns the URI of a table in the form that the engine's Airflow provider uses for assets
    :ivar is_in_memory: returns whether a URL names a database that ends with its connection
    :ivar file: returns the file that a URL names; ``None`` if there is none or it is unknown
    :ivar connect: opens a connection with the driver's arguments
    :ivar secure: keeps an engine's connections from obeying requests of the server that the client did not allow
    :ivar share: prepares an engine for several processes that write small rows, such as the history, or refuses it
    """

    title: str
    backend: str
    requirement: str
    connection_types: tuple[str, ...]
    load: Callable[[], type[Database]]
    asset_uri: Callable[[URL, str], str]
    aliases: tuple[str, ...] = ()
    drivers: Mapping[str, str] = {}
    driver_options: Mapping[str, Any] = {}
    url_options: frozenset[str] | None = None
    unusable_options: frozenset[str] = frozenset()
    url_from_hook: bool = False
    is_in_memory: Callable[[URL], bool] = _never
    file: Callable[[URL], Path | None] = _no_file
    connect: Callable[[Dialect, dict[str, Any]], DBAPIConnection] = _connect
    secure: Callable[[Engine], None] = _nothing
    share: Callable[[Engine], None] = _nothing


def entry_of(engine: Engine) -> EngineEntry:
    """Return the entry of an SQLAlchemy engine.

    MariaDB behind a MySQL URL is recognized only after the first connection.

    :raises ConfigurationError: for an engine that is not supported
    """
    name = "mariadb" if getattr(engine.dialect, "is_mariadb", False) else engine.dialect.name
    if entry := _BY_BACKEND.get(name):
        return entry
    raise ConfigurationError(f"Databases of type {name!r} are not supported. Use {_listed([entry.title for entry in ENGINES])}.")


def entry_for_url(url: URL) -> EngineEntry:
    """Return the entry of a database URL.

    :raises ConfigurationError: for a database that is not supported
    """
    if entry := _BY_BACKEND.get(url.get_backend_name()):
        return entry
    raise ConfigurationError(
        f"Databases of type {url.drivername!r} are not supported. Use {_listed([f'{entry.backend}://' for entry in ENGINES])}."
    )


def entry_for_connection_type(connection_type: str | None) -> EngineEntry | None:
    """Return the entry for an Airflow connection type; ``None`` if it belongs to no supported database."""
    return next((entry for entry in ENGINES if connection_type in entry.connection_types), None)


def database_for(engine: Engine) -> Database:
    """Return the database behind an SQLAlchemy engine.

    :raises ConfigurationError: for an engine or a driver that is not supported
    """
    return entry_of(engine).load()(engine)


def missing_file(engine: Engine) -> Path | None:
    """Return the database file if it does not exist, since opening the database would create it; otherwise ``None``.

    A file of which the system does not say whether it exists, for example in a folder that is closed to this user, is not
    missing. Opening it creates nothing, and the engine says why it cannot be opened.
    """
    file = entry_of(engine).file(engine.url)
    if file is None:
        return None
    try:
        return None if file.exists() else file
    except OSError:
        return None


def is_same_file(engine: Engine, other: Engine) -> bool:
    """Whether two engines open one database file, for example by two hard links, of which the engines themselves know nothing."""
    file, other_file = (entry_of(each).file(each.url) for each in (engine, other))
    try:
        return file is not None and other_file is not None and file.samefile(other_file)
    except OSError:
        return False


def supported_titles() -> str:
    """List the supported databases for a message: ``MySQL, MariaDB, PostgreSQL or SQLite``."""
    return _listed([entry.title for entry in ENGINES])


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}"


# -- MySQL and MariaDB -----------------------------------------------------------------------------------------------


def _load_mysql() -> type[Database]:
    from airflow_provider_sync.databases.mysql.database import MySQLDatabase

    return MySQLDatabase


def _connect_mysql(dialect: Dialect, arguments: dict[str, Any]) -> DBAPIConnection:
    from airflow_provider_sync.databases.mysql import local_infile

    # With use_unicode=0, which old manuals recommend, the driver gives bytes for texts.
    return local_infile.open_confined(dialect, {**arguments, "use_unicode": True})


def _secure_mysql(engine: Engine) -> None:
    from airflow_provider_sync.databases.mysql import local_infile

    local_infile.confine(engine)


def _mysql_asset_uri(url: URL, table: str) -> str:
    database, name = _split(table)
    return f"mysql://{_host(url)}/{quote(database or url.database or '')}/{quote(name)}"


# -- PostgreSQL ------------------------------------------------------------------------------------------------------


def _load_postgresql() -> type[Database]:
    from airflow_provider_sync.databases.postgresql.database import PostgreSQLDatabase

    return PostgreSQLDatabase


def _connect_postgresql(dialect: Dialect, arguments: dict[str, Any]) -> DBAPIConnection:
    threshold = arguments.get("prepare_threshold")
    if isinstance(threshold, str):
        # The only number that psycopg does not accept as text.
        arguments = {**arguments, "prepare_threshold": None if threshold.lower() == "none" else int(threshold)}
    return dialect.connect(**arguments)


def _postgresql_asset_uri(url: URL, table: str) -> str:
    schema, name = _split(table)
    return f"postgres://{_host(url)}/{quote(url.database or '')}/{quote(schema or 'public')}/{quote(name)}"


# -- SQLite ----------------------------------------------------------------------------------------------------------


def _load_sqlite() -> type[Database]:
    from airflow_provider_sync.databases.sqlite.database import SQLiteDatabase

    return SQLiteDatabase


def _file_asset_uri(url: URL, table: str) -> str:
    # No Airflow provider defines such assets: write the table below its file.
    return f"file://{quote(str(Path(url.database or '').absolute()))}/{quote(_split(table)[1])}"


def _is_file_in_memory(url: URL) -> bool:
    return url.database in (None, "", ":memory:")


def _file(url: URL) -> Path | None:
    if _is_file_in_memory(url) or url.database is None or url.database.startswith("file:"):
        return None
    return Path(url.database)


def _share_sqlite(engine: Engine) -> None:
    from airflow_provider_sync.databases.sqlite import shared_file

    shared_file.share(engine)


# -- DuckDB ----------------------------------------------------------------------------------------------------------


def _load_duckdb() -> type[Database]:
    from airflow_provider_sync.databases.duckdb.database import DuckDBDatabase

    return DuckDBDatabase


def _refuse_to_share_duckdb(_engine: Engine) -> None:
    """Refuse a database file that only one process at a time can open.

    :raises ConfigurationError: always
    """
    raise ConfigurationError(
        "A DuckDB file cannot hold the history, which several processes write. Name a database of PostgreSQL, MySQL, MariaDB or"
        " SQLite."
    )


# -- assets ----------------------------------------------------------------------------------------------------------


def _split(table: str) -> tuple[str, str]:
    schema, _, name = table.rpartition(".")
    return schema, name


def _host(url: URL) -> str:
    return f"{url.host or 'localhost'}:{url.port}" if url.port else url.host or "localhost"


_MYSQL = EngineEntry(
    title="MySQL",
    backend="mysql",
    drivers={"mysqldb": "MySQLdb", "pymysql": "pymysql"},
    driver_options={"charset": "utf8mb4", "connect_timeout": CONNECT_SECONDS},
    unusable_options=frozenset({"auth_plugin_map", "conv", "cursorclass", "defer_connect"}),
    requirement="airflow-provider-sync[mysql]",
    connection_types=("mysql",),
    load=_load_mysql,
    asset_uri=_mysql_asset_uri,
    connect=_connect_mysql,
    secure=_secure_mysql,
)

ENGINES = (
    _MYSQL,
    msgspec.structs.replace(_MYSQL, title="MariaDB", backend="mariadb", connection_types=()),
    EngineEntry(
        title="PostgreSQL",
        backend="postgresql",
        aliases=("postgres",),
        drivers={"psycopg": "psycopg", "psycopg2": "psycopg2"},
        driver_options={"connect_timeout": CONNECT_SECONDS},
        unusable_options=frozenset({"connection_factory", "context", "cursor_factory", "replication", "row_factory"}),
        requirement="airflow-provider-sync[postgres]",
        connection_types=("postgres",),
        load=_load_postgresql,
        asset_uri=_postgresql_asset_uri,
        connect=_connect_postgresql,
    ),
    EngineEntry(
        title="SQLite",
        backend="sqlite",
        driver_options={"check_same_thread": False},
        # All options that SQLAlchemy passes on except `detect_types`, with which the driver returns other values than stored.
        url_options=frozenset({"cached_statements", "check_same_thread", "isolation_level", "timeout", "uri"}),
        requirement="apache-airflow-providers-sqlite",
        connection_types=("sqlite",),
        url_from_hook=True,
        load=_load_sqlite,
        asset_uri=_file_asset_uri,
        is_in_memory=_is_file_in_memory,
        file=_file,
        share=_share_sqlite,
    ),
    EngineEntry(
        title="DuckDB",
        backend="duckdb",
        # SQLAlchemy has no dialect for DuckDB; this package has one.
        drivers={"sync": "airflow_provider_sync.databases.duckdb.dialect"},
        # All connections of a process to one file need the same options.
        url_options=frozenset({"memory_limit", "read_only", "temp_directory", "threads"}),
        requirement="airflow-provider-sync[duckdb]",
        connection_types=("duckdb",),
        url_from_hook=True,
        load=_load_duckdb,
        asset_uri=_file_asset_uri,
        is_in_memory=_is_file_in_memory,
        file=_file,
        share=_refuse_to_share_duckdb,
    ),
)
"""All supported engines, in the order in which messages list them."""

_BY_BACKEND = {name: entry for entry in ENGINES for name in (entry.backend, *entry.aliases)}
