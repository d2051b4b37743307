"""Restrict which files a MySQL server may request from the client: only the pipe of the running LOAD DATA.

A server, or an attacker in its place, may answer any statement with a request for a file of its choice, and drivers send that
file. So the feature is off, except for connections that are opened to load rows, and these send only the descriptor that
:func:`offered` names. If a driver cannot be restricted like this, no file is ever sent, and rows are loaded by INSERTs. Each
driver has its own module.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import Any, Protocol, cast

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, Dialect

_DRIVERS = {"mysqldb": "local_infile_mysqldb", "pymysql": "local_infile_pymysql"}

_loading: ContextVar[bool] = ContextVar("loading", default=False)
"""Whether connections that are opened now will load rows; SQLAlchemy cannot pass an argument for a single connection."""


class _Driver(Protocol):
    """The contract of a driver's module; connections are the driver's."""

    def connect(self, arguments: dict[str, Any], *, load: bool) -> Any:
        """Open a connection that sends no file; with ``load``, one for which :meth:`offer` can allow a file."""

    def guard(self, connection: Any) -> None:
        """Make a connection that other code opened refuse every file that was not offered."""

    def can_send(self, connection: Any) -> bool:
        """Whether :meth:`offer` works."""

    def offer(self, connection: Any, descriptor: int | None) -> None:
        """Let the server request this open file, named by :func:`.file_name`, in the next statement; ``None`` for no file."""


def confine(engine: Engine) -> None:
    """Keep the connections of an engine for MySQL or MariaDB from sending files, except those that are :func:`offered`.

    A connection that the engine's own ``creator`` opens has the creator's settings until it is open.
    """
    if engine.dialect.driver in _DRIVERS and not event.contains(engine, "do_connect", _connect):
        event.listen(engine, "do_connect", _connect)
        # Run before the dialect's first query.
        event.listen(engine, "connect", _guard, insert=True)


@contextmanager
def loading() -> Iterator[None]:
    """Make connections that this thread opens inside the block able to load rows."""
    token = _loading.set(True)
    try:
        yield
    finally:
        _loading.reset(token)


def can_send(connection: Any) -> bool:
    """Whether a driver's connection can send an offered file; the server may still refuse it."""
    driver = _driver_of(connection)
    return driver is not None and driver.can_send(connection)


@contextmanager
def offered(connection: Any, descriptor: int) -> Iterator[None]:
    """Let the server read from a descriptor, named by :func:`.file_name`, inside the block."""
    driver = _driver_of(connection)
    if driver is None:
        raise ValueError("this connection cannot send a file")
    driver.offer(connection, descriptor)
    try:
        yield
    finally:
        driver.offer(connection, None)


def open_confined(dialect: Dialect, arguments: dict[str, Any]) -> DBAPIConnection:
    """Open a connection that sends only files that are :func:`offered`; connections of other databases are not restricted."""
    if dialect.driver not in _DRIVERS:
        return dialect.connect(**arguments)
    own = {name: value for name, value in arguments.items() if name not in ("local_infile", "local_infile_dir")}
    driver = _module(dialect.driver)
    return cast("DBAPIConnection", driver.connect(own, load=_loading.get() and bool(arguments.get("local_infile", True))))


def _connect(dialect: Dialect, record: object, positional: list[Any], arguments: dict[str, Any]) -> DBAPIConnection:
    return open_confined(dialect, arguments)


def _guard(connection: Any, record: object) -> None:
    driver = _driver_of(connection)
    if driver is not None:
        driver.guard(connection)


def _driver_of(connection: Any) -> _Driver | None:
    for package, driver in (("MySQLdb", "mysqldb"), ("pymysql", "pymysql")):
        if any(kind.__module__.split(".")[0] == package for kind in type(connection).__mro__):
            return _module(driver)
    return None


def _module(driver: str) -> _Driver:
    return cast("_Driver", import_module(f"{__package__}.{_DRIVERS[driver]}"))
