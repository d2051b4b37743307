"""Limit the time for opening a database session: connection, login and the first statements, which are quick.

Drivers limit at most the time to connect. A server that hangs, or a proxy that accepts connections for it, would block a sync
forever. Later statements may take as long as they need, except those that are quick by nature: see :func:`limited_answers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from threading import TIMEOUT_MAX, Lock, Timer
from typing import Any

from sqlalchemy import Engine, event

from airflow_provider_sync.databases.connection_socket import ConnectionSocket, socket_of
from airflow_provider_sync.databases.registry import entry_of
from airflow_provider_sync.escalation import Canceller, Watch
from airflow_provider_sync.exceptions import TransportError

CONNECT_TIMEOUT_FACTOR = 10
"""Longest time for opening a session, as a multiple of ``connect_timeout``; the default exceeds pgbouncer's queue timeout."""


class _Limited:
    """The connections whose answers are awaited.

    :param outer: a limit around this one, which is for the same connections
    :ivar ended: whether they were shut down
    """

    def __init__(self, outer: _Limited | None) -> None:
        self.ended = False
        self._outer = outer
        self._is_over = False
        self._sockets: list[ConnectionSocket] = []
        self._lock = Lock()

    def watch(self, driver: Any) -> None:
        """Add a driver's connection; the same one may be added again."""
        if (number := socket_of(driver)) is not None:
            with self._lock:
                self._sockets.append(ConnectionSocket(number))
                is_over = self._is_over
            if is_over:
                self.end()
        if self._outer is not None:
            self._outer.watch(driver)

    def end(self) -> bool:
        """Shut the connections down, so that a thread that waits for an answer gets an error; return whether there is one.

        A connection that is only being made, so that the driver has not shown it yet, is shut down when it is added.
        """
        with self._lock:
            self._is_over = True
            # Before the thread that waits gets its error, which is then explained by this.
            self.ended = self.ended or bool(self._sockets)
            for connection in self._sockets:
                connection.shut_down()
            return bool(self._sockets)

    def answered(self) -> None:
        """Leave the connections alone from now on."""
        with self._lock:
            for connection in self._sockets:
                connection.close()
            self._sockets.clear()


_limited: ContextVar[_Limited | None] = ContextVar("limited", default=None)


@contextmanager
def limited_opening(engine: Engine, watch: Watch | None = None) -> Iterator[None]:
    """Limit the opening of a session inside the block to ten times the ``connect_timeout`` of the engine's URL.

    :param watch: ends the opening earlier, when the work has to end
    :raises TransportError: if opening takes longer, or ``watch`` gave the database up
    """
    entry = entry_of(engine)
    if (timeout := entry.driver_options.get("connect_timeout")) is None:  # a file
        yield
        return
    with suppress(TypeError, ValueError):  # the driver refuses the value
        timeout = float(engine.url.query.get("connect_timeout", timeout)) or timeout
    seconds = CONNECT_TIMEOUT_FACTOR * timeout
    silent = TransportError(
        f"No answer from {entry.title}: it took the connection, and opened no session within {seconds:g} seconds. Look at its"
        f" load and its log. The limit is {CONNECT_TIMEOUT_FACTOR} times the connect_timeout of its URL."
    )
    name = name_of(engine)
    if watch is not None and watch.gave_up(name):
        raise TransportError(f"No answer from {name}: its connections were closed, as the sync was to end.")
    with _limit(engine, seconds, silent) as limited:
        if watch is None:
            yield
            return
        # There is no statement to cancel yet.
        with watch.watching(Canceller(lambda: False, shut_down=limited.end, name=name)):
            yield


@contextmanager
def limited_answers(engine: Engine, seconds: float, *drivers: Any) -> Iterator[None]:
    """Limit the time for connections that are opened inside the block, and for all that is done with them there.

    :param drivers: drivers' connections that are already open, and that the limit is for, too
    :raises TransportError: if the block takes longer, because the database does not answer
    """
    if "connect_timeout" not in entry_of(engine).driver_options:  # a file
        yield
        return
    silent = TransportError(f"No answer from {name_of(engine)} within {seconds:g} seconds. Look at its load and its log.")
    with _limit(engine, seconds, silent) as limited:
        for driver in drivers:
            limited.watch(driver)
        yield


def limit_opening_of(driver: Any) -> None:
    """Register a driver's connection; for drivers that talk to the server before SQLAlchemy's ``connect`` event."""
    if (limited := _limited.get()) is not None:
        limited.watch(driver)


def name_of(engine: Engine) -> str:
    """Return the name of an engine's database for messages: what it is, where it is, and never a password."""
    url, title = engine.url, entry_of(engine).title
    place = f" at {url.host}{f':{url.port}' if url.port else ''}" if url.host else ""
    return f"{title}{place}{f' (database {url.database!r})' if url.database else ''}"


@contextmanager
def _limit(engine: Engine, seconds: float, silent: TransportError) -> Iterator[_Limited]:
    """Shut down what is watched inside the block after that many seconds, and raise ``silent``."""
    if not event.contains(engine, "connect", _connected):
        event.listen(engine, "connect", _connected, insert=True)  # before SQLAlchemy's own first queries
    limited = _Limited(_limited.get())
    token = _limited.set(limited)
    timer = Timer(min(seconds, TIMEOUT_MAX), limited.end)
    timer.daemon = True
    timer.start()
    try:
        yield limited
    except Exception as error:
        if not limited.ended:
            raise
        raise silent from error
    finally:
        timer.cancel()
        timer.join()
        limited.answered()
        _limited.reset(token)
    if limited.ended:
        raise silent


def _connected(driver: Any, _record: object) -> None:
    limit_opening_of(driver)
