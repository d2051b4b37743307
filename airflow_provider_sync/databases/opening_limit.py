"""Limit the time for opening a database session: connection, login and the first statements, which are quick.

Drivers limit at most the time to connect. A server that hangs, or a proxy that accepts connections for it, would block a sync
forever. Later statements may take as long as they need.
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

CONNECT_TIMEOUT_FACTOR = 10
"""Longest time for opening a session, as a multiple of ``connect_timeout``; the default exceeds pgbouncer's queue timeout."""


class _Opening:
    """A session that is being opened.

    :ivar ended: whether the time limit ended the session
    """

    def __init__(self) -> None:
        self.ended = False
        self._socket: socket.socket | None = None
        self._lock = Lock()

    def watch(self, driver: Any) -> None:
        """Keep the connection's socket, since another thread cannot ask the driver for it."""
        if self._socket is None and (number := socket_of(driver)) is not None:
            self._socket = socket.socket(fileno=os.dup(number))

    def end(self) -> None:
        """Shut the socket down unless the session is open; a thread that waits for an answer gets an error."""
        with self._lock, suppress(OSError):
            if self._socket is not None:
                self.ended = True
                self._socket.shutdown(socket.SHUT_RDWR)

    def opened(self) -> None:
        """Record that the session is open, so that :meth:`end` leaves it alone."""
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


_opening: ContextVar[_Opening | None] = ContextVar("opening", default=None)


@contextmanager
def limited_opening(engine: Engine) -> Iterator[None]:
    """Limit the opening of a session inside the block to ten times the ``connect_timeout`` of the engine's URL.

    :raises TransportError: if opening takes longer
    """
    entry = entry_of(engine)
    if (timeout := entry.driver_options.get("connect_timeout")) is None:  # a file
        yield
        return
    with suppress(TypeError, ValueError):  # the driver refuses the value
        timeout = float(engine.url.query.get("connect_timeout", timeout)) or timeout
    if not event.contains(engine, "connect", _connected):
        event.listen(engine, "connect", _connected, insert=True)  # before SQLAlchemy's own first queries
    opening, seconds = _Opening(), CONNECT_TIMEOUT_FACTOR * timeout
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


def limit_opening_of(driver: Any) -> None:
    """Register a driver's connection; for drivers that talk to the server before SQLAlchemy's ``connect`` event."""
    if (opening := _opening.get()) is not None:
        opening.watch(driver)


def _connected(driver: Any, _record: object) -> None:
    limit_opening_of(driver)


def _silent(title: str, seconds: float) -> TransportError:
    return TransportError(
        f"No answer from {title}: it took the connection, and opened no session within {seconds:g} seconds. Look at its load and"
        f" its log. The limit is {CONNECT_TIMEOUT_FACTOR} times the connect_timeout of its URL."
    )
