"""A snapshot of a database that is held while several requests read it, one after the other or at the same time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from airflow_provider_sync.escalation import Canceller
from airflow_provider_sync.exceptions import TableBusyError

if TYPE_CHECKING:
    from airflow_provider_sync.databases.base import Database

TURN_SECONDS = 20.0
"""Longest wait, in seconds, for a connection that another request uses: shorter than the clients' timeout for an answer."""

_CANCEL_SECONDS = 0.2


class HeldSnapshot(ABC):
    """A snapshot of a database; made by :meth:`.Database.held_snapshot`."""

    @abstractmethod
    def reading(self, database: Database) -> AbstractContextManager[Connection]:
        """Provide a connection inside the block that sees this snapshot; any thread may call it.

        :param database: the same database, perhaps with other session rules
        :raises TableBusyError: when no connection becomes free in time
        """


class SharedConnection(HeldSnapshot):
    """A snapshot that only one connection sees, so that its readers take turns.

    :param cancel: cancels the statement that runs on the connection
    """

    def __init__(self, connection: Connection, cancel: Canceller) -> None:
        self._connection = connection
        self._cancel = cancel
        self._turn = Lock()
        self._ended = False

    @contextmanager
    def reading(self, database: Database) -> Iterator[Connection]:
        """Wait until the connection is free, and provide it."""
        if not self._turn.acquire(timeout=TURN_SECONDS):
            raise TableBusyError(
                f"The snapshot was read by another request for {TURN_SECONDS:g} seconds. Try again."
            ).without_subject()
        try:
            if self._ended:
                raise TableBusyError("The snapshot ended. Try again.").without_subject()
            with database.translate_errors(), database.cancellable(self._connection):
                yield self._connection
        finally:
            self._turn.release()

    def end(self) -> None:
        """Cancel the reader that still uses the connection and wait for it to end; later readers get an error."""
        while not self._turn.acquire(timeout=_CANCEL_SECONDS):
            self._cancel()
            self._cancel.shut_down_if_due()
        self._ended = True
        self._turn.release()
