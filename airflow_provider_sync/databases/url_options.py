"""Check the options after the ``?`` of a database URL: refuse those that the driver does not accept, naming the option."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect
from sqlalchemy.exc import ArgumentError

from airflow_provider_sync.databases.registry import EngineEntry
from airflow_provider_sync.exceptions import ConfigurationError

_BAD_VALUE = re.compile(r"\binvalid\b.*\bvalue\b|\bbad value\b|unrecognized configuration parameter|Unknown \w+ specification")

_BAD_VALUE_OF = {
    "bind_address": r"Cannot assign requested address",
    "channel_binding": r"channel binding required",
    "charset": r"Can't initialize character set",
    "collation": r"Unknown collation",
    "gssencmode": r"GSSAPI encryption required",
    "hostaddr": r"could not parse network address",
    "memory_limit": r"[Mm]emory",
    "options": r"invalid command-line argument",
    "service": r"definition of service",
    "sql_mode": r"Variable 'sql_mode'",
    "threads": r"\bthreads?\b|INT64|Allocation failure",
}
"""Messages of drivers and servers about an option's value that do not name the option."""


def check_names(url: URL, entry: EngineEntry) -> None:
    """Refuse an option that SQLAlchemy would ignore silently, or whose value cannot be written as text.

    :param entry: registry entry of the URL's database
    :raises ConfigurationError: naming the option
    """
    for name in url.query:
        if name in entry.unusable_options:
            raise ConfigurationError(f"The database URL has the option {name!r}, which no sync can use. Remove it.")
    if entry.url_options is None or "uri" in url.query:
        return
    for name in url.query:
        if name not in entry.url_options:
            raise ConfigurationError(
                f"The database URL has the option {name!r}, which {entry.title}'s driver does not take here. Remove it;"
                f" there are: {', '.join(sorted(entry.url_options))}."
            )


@contextmanager
def naming_options(url: URL) -> Iterator[None]:
    """Convert a driver's error about an option, often a plain TypeError, into one that names the option.

    :raises ConfigurationError: without the driver's text, which may quote values of the URL
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        named = [name for name in url.query if name in _BAD_VALUE_OF and re.search(_BAD_VALUE_OF[name], text)]
        if not url.query or not (named or _refuses_option(error)):
            raise
        named += [name for name, value in url.query.items() if name in text or (isinstance(value, str) and repr(value) in text)]
        names = ", ".join(map(repr, named[:1] or url.query))
        raise ConfigurationError(
            f"The driver of {url.drivername!r} does not take the option {names} of the database URL, or not with its value."
            " Remove it, or spell it as the driver's documentation does."
        ) from None


def name_options_of(engine: Engine, open_connection: Callable[[Dialect, dict[str, Any]], DBAPIConnection]) -> None:
    """Make errors of an engine's connections name an option that the driver does not accept.

    :param open_connection: opens a connection, with the driver's arguments by name
    """

    def connect(dialect: Dialect, _record: object, arguments: list[Any], parameters: dict[str, Any]) -> DBAPIConnection:
        with naming_options(engine.url):
            return open_connection(dialect, parameters) if not arguments else dialect.connect(*arguments, **parameters)

    if engine.url.query:
        event.listen(engine, "do_connect", connect)


def _refuses_option(error: Exception) -> bool:
    """Whether an error is about the driver's arguments, rather than an answer of the server."""
    # An OSError is about a file that an option names: drivers wrap network errors.
    if isinstance(error, ArgumentError | TypeError | ValueError | AttributeError | OSError | OverflowError | NotImplementedError):
        return True
    # Errors raised by libpq and mysqlclient themselves; errors of a PostgreSQL server have a SQLSTATE.
    if type(error).__name__ not in ("ProgrammingError", "OperationalError", "NotSupportedError") or getattr(
        error, "sqlstate", None
    ):
        return False
    text = str(error)
    return "invalid connection option" in text or _BAD_VALUE.search(text) is not None
