"""Open the databases and directories that the configuration names, each at its first request."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Lock

from sqlalchemy import Engine

from airflow_provider_sync.config import ServerConfig, SourceDirectory, SourceTable, cache_path, connection_url
from airflow_provider_sync.databases.base import Database
from airflow_provider_sync.databases.registry import database_for, missing_file
from airflow_provider_sync.exceptions import TransportError
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import CachedRoot, DigestCache
from airflow_provider_sync.protocol.v2.file_messages import FILE_DIGEST, Links

LOCK_SECONDS = 20
"""Maximum wait for a lock, in seconds: less than clients wait for a response, so that they get the reason."""

OpenEngine = Callable[[str], Engine]
OpenStorage = Callable[[str], Storage]


def no_file(path: Path) -> str:
    """Return the message, for the log and for checks, that a database file is missing; clients do not get its path."""
    return f"There is no file {path}. Is the path of the connection right?"


class Sources:
    """Opens each database once, however many tables share it; thread-safe.

    Databases need not be up when the server starts, and are used again when they come back.
    """

    def __init__(self, config: ServerConfig, *, open_engine: OpenEngine, open_storage: OpenStorage) -> None:
        self._config = config
        self._open_engine = open_engine
        self._open_storage = open_storage
        self._databases: dict[tuple[str, bool], Database] = {}
        self._lock = Lock()
        self._cache = DigestCache(cache_path(config.cache))

    def url(self, table: SourceTable) -> str:
        """Return the URL of the database of ``table``."""
        return connection_url(self._config.connections, self._config.default_connection, table)

    def database(self, table: SourceTable) -> Database:
        """Return the database of ``table``.

        :raises TransportError: if its file is missing, since opening it would create an empty one
        """
        url = self.url(table)
        # Row security is a setting of the session. The role's time limits stay in force: no client may hold a snapshot for
        # longer than they allow.
        key = (url, table.allow_row_security)
        with self._lock:
            if key not in self._databases:
                engine = self._open_engine(url)
                if (file := missing_file(engine)) is not None:
                    raise TransportError(no_file(file))
                database = database_for(engine)
                self._databases[key] = database.with_session(
                    allow_row_security=table.allow_row_security, keep_time_limits=True, lock_seconds=LOCK_SECONDS
                )
            return self._databases[key]

    @property
    def mask_key(self) -> str:
        """The secret with which columns are hashed; empty if no column is hashed."""
        return self._config.mask_key or ""

    def storage(self, directory: SourceDirectory) -> Storage:
        """Return the files of ``directory``."""
        return self._open_storage(directory.path)

    def cached(
        self, directory: SourceDirectory, location: str, *, algorithm: str = FILE_DIGEST, links: Links = "skip"
    ) -> CachedRoot:
        """Return the cached digests of the files of ``directory``.

        :param location: location of its storage, before that was named
        :param algorithm: algorithm of the digests
        :param links: how symbolic links are treated
        """
        # Several directories may share a path and offer different files of it.
        scope = repr((directory.include, directory.exclude, links))
        return self._cache.root(location, algorithm=algorithm, scope=scope)

    def close(self) -> None:
        """Close all database connections that are not in use, and the cache of digests."""
        with self._lock:
            for database in self._databases.values():
                database.engine.dispose()
            self._databases.clear()
        self._cache.close()
