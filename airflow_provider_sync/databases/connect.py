"""Open an SQLAlchemy engine for a database URL: which driver, and the options that no URL should have to spell out.

What a session needs once it is open belongs to the engines.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool, StaticPool

from airflow_provider_sync.databases import url_options
from airflow_provider_sync.databases.mysql import local_infile as mysql_local_infile
from airflow_provider_sync.exceptions import ConfigurationError

CONNECT_SECONDS = 15
"""How long a database server may take to answer a new connection."""

_SUPPORTED = ("mysql", "mariadb", "postgresql", "postgres", "sqlite")

_DRIVERS: Mapping[str, tuple[str, str, Mapping[str, str]]] = {
    "mysql": ("MySQL", "mysql", {"mysqldb": "MySQLdb", "pymysql": "pymysql"}),
    "mariadb": ("MariaDB", "mysql", {"mysqldb": "MySQLdb", "pymysql": "pymysql"}),
    "postgresql": ("PostgreSQL", "postgres", {"psycopg": "psycopg", "psycopg2": "psycopg2"}),
}
"""By dialect: its name for people, the extra that brings a driver, and the drivers in order of preference with their modules."""

_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "mysqldb": {"charset": "utf8mb4", "connect_timeout": CONNECT_SECONDS},
    "pymysql": {"charset": "utf8mb4", "connect_timeout": CONNECT_SECONDS},
    "psycopg": {"connect_timeout": CONNECT_SECONDS},
    "psycopg2": {"connect_timeout": CONNECT_SECONDS},
    "pysqlite": {"check_same_thread": False},
}


def open_engine(url: str) -> Engine:
    """Return an engine for ``url``; nothing is connected yet.

    Connections are not pooled: a sync keeps the few that it needs, and must not hold any between two runs.

    :param url: an SQLAlchemy URL; without a driver (``mysql://``) the best one that is installed is taken
    :raises ConfigurationError: when the URL is malformed or has an option that its driver does not take, its database is not
        supported, or no driver is installed; the message never has the URL, whose password may be in it
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without `from`: the parser's message may quote the URL.
        raise ConfigurationError(
            "A connection is not a valid database URL. Write it as 'mysql://user:password@host/database', with the password"
            " percent-encoded."
        ) from None
    if parsed.get_backend_name() not in _SUPPORTED:
        raise ConfigurationError(
            f"Databases of type {parsed.drivername!r} are not supported. Use mysql://, mariadb://, postgresql:// or sqlite://."
        )
    parsed = _with_driver(parsed)
    url_options.check_names(parsed)
    try:
        driver = parsed.get_dialect().driver
        options = {name: value for name, value in _OPTIONS.get(driver, {}).items() if name not in parsed.query}
        with url_options.naming_options(parsed):
            engine = create_engine(parsed, connect_args=options, poolclass=_pool(parsed), hide_parameters=True)
        url_options.name_options_of(engine, mysql_local_infile.open_confined)
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"The driver of {parsed.drivername!r} is not installed ({error}). Install it, or leave it out of the URL."
        ) from error
    mysql_local_infile.confine(engine)
    return engine


def _pool(url: URL) -> type[NullPool] | type[StaticPool]:
    """Keep the connection of an in-memory database, which ends with it; keep no other."""
    in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    return StaticPool if in_memory else NullPool


def _with_driver(url: URL) -> URL:
    if url.drivername == "postgres":
        url = url.set(drivername="postgresql")
    if url.drivername not in _DRIVERS:
        return url
    database, extra, drivers = _DRIVERS[url.drivername]
    for driver, module in drivers.items():
        if _importable(module):
            return url.set(drivername=f"{url.drivername}+{driver}")
    raise ConfigurationError(f"No driver for {database} is installed. Run: pip install 'airflow-provider-sync[{extra}]'")


def _importable(module: str) -> bool:
    # Importing, not looking for the module: psycopg is there and fails where the C library is missing.
    try:
        import_module(module)
    except ImportError:
        return False
    return True
