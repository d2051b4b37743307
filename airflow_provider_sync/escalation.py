"""Cancel in two steps: ask for the end of a statement, and shut its connection down if that does not help.

A database is asked over a second connection. If it hangs while something else (its system, a proxy) still takes connections for
it, it never answers, and the statement's thread would wait for ever. Shutting down the socket of the connection ends the wait.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock, Thread
from typing import Protocol

PATIENCE_SECONDS = 10.0
"""Longest time, in seconds, for a database to take the request to cancel; it has twice as long to end its statement."""


def _cannot_shut_down() -> bool:
    return False


class Canceller:
    """Ends what a thread waits for. Calls of it return at once, and any thread may make them, any number of times.

    :param ask: asks for the end of what runs, and does nothing if nothing runs; returns whether the database took the request.
        It ends within :data:`PATIENCE_SECONDS` or about that, and raises nothing
    :param shut_down: ends the connection, so that whoever waits for it gets an error; returns whether there was one to end
    :param name: the database, for messages
    """

    def __init__(self, ask: Callable[[], bool], *, shut_down: Callable[[], bool] = _cannot_shut_down, name: str = "") -> None:
        self.name = name
        self._ask = ask
        self._shut_down = shut_down
        self._lock = Lock()
        self._asking: Thread | None = None
        self._began: float | None = None
        self._is_taken = False
        self._is_shut_down = False
        self._is_settled = False

    def __call__(self) -> None:
        """Ask, in a thread of its own, unless an earlier request is still under way, or this has settled."""
        with self._lock:
            if self._is_settled or self._is_shut_down or (self._asking is not None and self._asking.is_alive()):
                return
            self._began = self._began or time.monotonic()
            self._asking = Thread(target=self._run, name="sync-cancels", daemon=True)
            self._asking.start()

    def shut_down_if_due(self, patience: float | None = None) -> bool:
        """Shut the connection down if asking has not helped; return whether this call did so.

        The time begins with the first call of this method, or with the first request.

        :param patience: seconds for the request to be taken; twice as many for the statement to end, or if there was no request;
            :data:`PATIENCE_SECONDS` by default
        """
        patience = PATIENCE_SECONDS if patience is None else patience
        with self._lock:
            self._began = self._began or time.monotonic()
            waits = 2 * patience if self._is_taken or self._asking is None else patience
            if self._is_shut_down or time.monotonic() - self._began < waits:
                return False
            self._is_shut_down = self._shut_down()
            return self._is_shut_down

    def wait(self, seconds: float) -> None:
        """Wait for the end of a request that is under way, for at most that many seconds."""
        if self._asking is not None:
            self._asking.join(seconds)

    def settle(self) -> None:
        """Make no further requests, and wait for the end of one that is under way, lest it cancels what others do next.

        There is nothing next on the connection once it is shut down.
        """
        with self._lock:
            self._is_settled = True
        while self._asking is not None and self._asking.is_alive() and not self._is_shut_down:
            self._asking.join(0.05)
            self.shut_down_if_due()

    def _run(self) -> None:
        self._is_taken = self._ask() or self._is_taken


class Watch(Protocol):
    """Ends work from outside: cancels what is registered with it."""

    def watching(self, canceller: Canceller) -> AbstractContextManager[None]:
        """Cancel during the block when the work has to end, and shut the connection down if that does not help."""

    def gave_up(self, name: str) -> bool:
        """Whether connections to the database of this name were shut down, so that it need not be asked again."""
