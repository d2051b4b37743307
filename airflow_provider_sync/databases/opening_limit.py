"""Limit how long a database server may take to open a session: its login, and the first statements, which are quick.

Drivers limit the connection alone, if that. A server that hangs, or something between that accepts connections in its place,
would keep a sync waiting for ever. Later statements may take as long as they need.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import TIMEOUT_MAX, Lock, Timer
from typing import Any

from sqlalchemy import Engine, event

from airflow_provider_sync.databases.keep_alive import socket_of
from airflow_provider_sync.databases.registry import entry_of
from airflow_provider_sync.exceptions import TransportError

CONNECT_TIMEOUTS = 10
"""Longest time for opening a session, in times of ``connect_timeout``: by default longer than pgbouncer lets a session wait."""


class _Opening:
    """A session that is being opened.

    :ivar driver: the connection of the driver, as soon as there is one
    :ivar ended: whether the time was up
    """

    def __init__(self) -> None:
        self.driver: Any = None
        self.ended = False
        self._socket: socket.socket | None = None
        self._lock = Lock()

    def reached(self, driver: Any) -> None:
        """Take the connection's socket, for which another thread could not ask the driver."""
        self.driver = driver
        if self._socket is None and (number := socket_of(driver)) is not None:
            self._socket = socket.socket(fileno=os.dup(number))

    def end(self) -> None:
        """Cut the connection, unless the session is open; whoever waits for an answer gets an error."""
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self.ended = True
                self._socket.shutdown(socket.SHUT_RDWR)

    def opened(self) -> None:
        """Leave the connection alone from now on."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


_opening: ContextVar[_Opening | None] = ContextVar("opening", default=None)


@contextmanager
def limited_opening(engine: Engine) -> Iterator[None]:
    """Open a session inside the block within ten times the ``connect_timeout`` of the engine's URL.

    :raises TransportError: if the time is up
    """
    entry = entry_of(engine)
    if (timeout := entry.driver_options.get("connect_timeout")) is None:  # a file
        yield
        return
    with suppress(TypeError, ValueError):  # of a value that the driver refuses
        timeout = float(engine.url.query.get("connect_timeout", timeout)) or timeout
    if not event.contains(engine, "connect", _reached):
        event.listen(engine, "connect", _reached, insert=True)  # before SQLAlchemy's own first questions
    opening, seconds = _Opening(), CONNECT_TIMEOUTS * timeout
    token = _opening.set(opening)
    timer = Timer(min(seconds, TIMEOUT_MAX), opening.end)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if not opening.ended:
            raise
        raise _silent(entry.title, seconds) from error
    finally:
        timer.cancel()
        timer.join()
        opening.opened()
        _opening.reset(token)
    if opening.ended:
        raise _silent(entry.title, seconds)


def reached(driver: Any) -> None:
    """Note the connection of a driver that speaks to its server before SQLAlchemy knows of it."""
    if (opening := _opening.get()) is not None:
        opening.reached(driver)


def _reached(driver: Any, _record: object) -> None:
    reached(driver)


def _silent(title: str, seconds: float) -> TransportError:
    return TransportError(
        f"No answer from {title}: it took the connection, and opened no session within {seconds:g} seconds. Look at its load and"
        f" its log. The limit is {CONNECT_TIMEOUTS} times the connect_timeout of its URL."
    )
