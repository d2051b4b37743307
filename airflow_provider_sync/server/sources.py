"""The databases and directories behind the names, each opened when it is first asked for."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock

from sqlalchemy import Engine

from airflow_provider_sync.config import ServerConfig, SourceDirectory, SourceTable, connection_url
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.registry import database_for
from airflow_provider_sync.files import Storage

LOCK_SECONDS = 20
"""Longest wait for what somebody else has locked: less than clients wait, so that they are told the reason."""

OpenEngine = Callable[[str], Engine]
OpenStorage = Callable[[str], Storage]


class Sources:
    """Opens each connection once, whichever tables share it; safe to use from several threads.

    A server starts without any of them being up, and recovers when one comes back.
    """

    def __init__(self, config: ServerConfig, *, open_engine: OpenEngine, open_storage: OpenStorage) -> None:
        self._config = config
        self._open_engine = open_engine
        self._open_storage = open_storage
        self._databases: dict[tuple[str, bool], Database] = {}
        self._lock = Lock()

    def database(self, table: SourceTable) -> Database:
        """Return the database that has ``table``."""
        url = connection_url(self._config.connections, self._config.default_connection, table)
        # Tables that are seen otherwise have sessions of their own. The role's time limits stay in force: no client may hold a
        # snapshot for longer than they allow.
        key = (url, table.allow_row_security)
        with self._lock:
            if key not in self._databases:
                database = database_for(self._open_engine(url))
                self._databases[key] = database.with_session(
                    allow_row_security=table.allow_row_security, keep_time_limits=True, lock_seconds=LOCK_SECONDS
                )
            return self._databases[key]

    def storage(self, directory: SourceDirectory) -> Storage:
        """Return the files of ``directory``."""
        return self._open_storage(directory.path)

    def close(self) -> None:
        """Close every database connection that is not in use."""
        with self._lock:
            for database in self._databases.values():
                database.engine.dispose()
            self._databases.clear()
