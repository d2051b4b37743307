"""Open the database that an Airflow connection names, as an SQLAlchemy engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from airflow.providers.common.compat.sdk import AirflowException, Connection
from airflow.providers.common.sql.hooks.sql import DbApiHook
from sqlalchemy import Engine
from sqlalchemy.pool import NullPool

from airflow_provider_sync.airflow_support.connection_lookup import find_connection
from airflow_provider_sync.databases.connect import open_engine
from airflow_provider_sync.databases.registry import entry_for_connection_type, entry_of, supported_titles
from airflow_provider_sync.exceptions import ConfigurationError

AIRFLOW_SCHEME = "airflow://"


def engine_from_connection(conn_id: str) -> Engine:
    """Make an SQLAlchemy engine that connects through the Airflow connection's hook.

    So everything that the hook reads from the connection applies: certificates, sockets, tokens that expire.

    :param conn_id: id of a connection whose hook is a ``DbApiHook``, also written ``airflow://CONN_ID``; or the URL of
        a database
    :raises ConfigurationError: when there is no such connection, it is no database, or its provider or driver is not installed
    """
    conn_id = conn_id.removeprefix(AIRFLOW_SCHEME)
    if "://" in conn_id:
        return open_engine(conn_id)
    connection = find_connection(conn_id)
    hook = _database_hook(connection)
    cursor = str(connection.extra_dejson.get("cursor", "")).lower()
    if "dict" in cursor or "namedtuple" in cursor:
        # Columns of a statement may share a name, or have none.
        raise ConfigurationError(
            f"Connection {conn_id!r} has rows come as mappings or named tuples. Name a connection without 'cursor' in its extra."
        )
    entry = entry_for_connection_type(connection.conn_type)
    if entry is not None and entry.url_from_hook:
        return open_engine(_url_of_file(hook, connection))
    # Only the MySQL hook reads it. With it, a server could ask for any file of this machine while the hook connects.
    hook.local_infile = False

    def connect() -> Any:
        with _naming_connection(connection):
            return hook.get_conn()

    try:
        with _naming_connection(connection):
            engine = hook.get_sqlalchemy_engine(
                engine_kwargs={"creator": connect, "poolclass": NullPool, "hide_parameters": True}
            )
    except ImportError as error:
        raise ConfigurationError(
            f"The driver of connection {conn_id!r} is not installed: {error}. {_install(connection)}"
        ) from error
    entry_of(engine).secure(engine)
    return engine


def _database_hook(connection: Connection) -> DbApiHook:
    kind = f"Connection {connection.conn_id!r} has the type {connection.conn_type!r}"
    try:
        hook = connection.get_hook()
    except (AirflowException, ImportError) as error:
        raise ConfigurationError(f"{kind}, whose provider is not installed. {_install(connection)}") from error
    except AttributeError as error:
        # Airflow raises this for types without a hook, such as "generic".
        raise ConfigurationError(f"{kind}, which has no hook. Give it the type of its database.") from error
    if not isinstance(hook, DbApiHook):
        raise ConfigurationError(f"{kind}, which is not a database. Name a connection to {supported_titles()}.")
    return hook


@contextmanager
def _naming_connection(connection: Connection) -> Iterator[None]:
    """Convert an error of a hook about a connection's fields, such as a plain ValueError, into one that names the connection.

    Errors of drivers and servers are not among these.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AirflowException) as error:
        raise ConfigurationError(
            f"Connection {connection.conn_id!r} cannot be used as it is: {error}. Correct its fields and its extra."
        ) from error


def _url_of_file(hook: DbApiHook, connection: Connection) -> str:
    """Return the URL of a connection to a file, with its extra as options.

    Airflow writes an extra with numbers or switches as a single option, in JSON.
    """
    path, _, query = hook.get_uri().partition("?")
    if not query.startswith(f"{connection.EXTRA_KEY}="):
        return hook.get_uri()
    options = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in connection.extra_dejson.items()
        if value is not None
    }
    return f"{path}?{urlencode(options)}"


def _install(connection: Connection) -> str:
    entry = entry_for_connection_type(connection.conn_type)
    return f"Run: pip install '{entry.requirement}'" if entry else "Install the provider of that type."
