"""Open an SQLAlchemy engine for a database URL: choose the driver, and add the default options of the registry entry.

Session settings are in each engine's package.
"""

from __future__ import annotations

from importlib import import_module

from sqlalchemy import URL, Engine, create_engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import NullPool, StaticPool

from airflow_provider_sync.databases import url_options
from airflow_provider_sync.databases.registry import EngineEntry, entry_for_url
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.redaction import remember_secrets


def open_engine(url: str) -> Engine:
    """Return an engine for ``url``, without connecting.

    Connections are not pooled: a sync keeps the few that it needs, and must not hold any between two runs.

    :param url: an SQLAlchemy URL; if it names no driver (``mysql://``), the best installed one is used
    :raises ConfigurationError: when the URL is malformed or has an option that its driver does not accept, its database is not
        supported, or no driver is installed; the message never contains the URL, since it may contain a password
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without `from`: the parser's message may quote the URL.
        raise ConfigurationError(
            "A connection is not a valid database URL. Write it as 'mysql://user:password@host/database', with the password"
            " percent-encoded."
        ) from None
    remember_secrets([parsed.password and str(parsed.password)])
    if "@" in (parsed.host or ""):
        # The text before the second @ is part of the password.
        raise ConfigurationError("The URL of a connection has more than one @. Write that of a password as %40.")
    entry = entry_for_url(parsed)
    parsed = _with_driver(parsed, entry)
    url_options.check_names(parsed, entry)
    # An in-memory database ends with its connection, so keep the connection open.
    pool = StaticPool if entry.is_in_memory(parsed) else NullPool
    try:
        supported = not entry.drivers or parsed.get_dialect().driver in entry.drivers
        options = {name: value for name, value in entry.driver_options.items() if supported and name not in parsed.query}
        with url_options.naming_options(parsed):
            engine = create_engine(parsed, connect_args=options, poolclass=pool, hide_parameters=True)
        url_options.name_options_of(engine, entry.connect)
        if engine.dialect.is_async:
            raise ConfigurationError(
                f"The driver of {parsed.drivername!r} is for asyncio, which no sync can use. Leave it out: {entry.backend}://…"
            )
    except (ImportError, NoSuchModuleError) as error:
        raise ConfigurationError(
            f"The driver of {parsed.drivername!r} is not installed ({error}). Install it, or leave it out of the URL."
        ) from error
    entry.secure(engine)
    return engine


def _with_driver(url: URL, entry: EngineEntry) -> URL:
    """Return the URL with the best installed driver, unless the URL names a driver."""
    _, plus, driver = url.drivername.partition("+")
    if plus or not entry.drivers:
        return url.set(drivername=f"{entry.backend}{plus}{driver}")
    for driver, module in entry.drivers.items():
        if _importable(module):
            return url.set(drivername=f"{entry.backend}+{driver}")
    raise ConfigurationError(f"No driver for {entry.title} is installed. Run: pip install '{entry.requirement}'")


def _importable(module: str) -> bool:
    # Import the module instead of searching for it: psycopg can be installed and still fail because libpq is missing.
    try:
        import_module(module)
    except ImportError:
        return False
    return True
