"""Reload the configuration of a running server; an invalid configuration is not used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.config.log import LogOptions
from airflow_provider_sync.exceptions import ConfigurationError, SyncError
from airflow_provider_sync.printable import printable
from airflow_provider_sync.server.process.tls import certificate_end, tls_context, tls_files
from airflow_provider_sync.server.process.watched_files import WatchedFiles

log = logging.getLogger(__name__)

CHECK_SECONDS = 0.5
"""Seconds between two checks of the files. A file that is still changing is not read yet."""


class ConfigSource:
    """The source of a server's configuration.

    :param config: the first configuration
    :param read: reads the configuration again
    :param check: raises an error for a configuration that this server cannot use
    :param watch: the configuration's file, to reload it when it changes; ``None`` to reload only on request
    :ivar config: the configuration in use
    """

    def __init__(
        self,
        config: ServerConfig,
        read: Callable[[], ServerConfig],
        check: Callable[[ServerConfig], None],
        watch: Path | None = None,
    ) -> None:
        self._read = read
        self._check = check
        self._is_requested = False
        self._file = WatchedFiles([] if watch is None else [watch])
        self.use(config)

    def use(self, config: ServerConfig) -> None:
        """Record that a configuration is in use from now on."""
        self.config = config
        self._certificates = WatchedFiles(tls_files(config.tls))
        self._end = None if config.tls is None else certificate_end(config.tls)

    def request_reload(self) -> None:
        """Request a reload of the configuration; may be called from a signal handler."""
        self._is_requested = True

    def wants_reload(self) -> bool:
        """Whether :meth:`next` has something to read: after :meth:`request_reload`, or because a file has changed."""
        self._warn_of_end()
        # Both are evaluated, so that no change is noticed twice.
        changed, renewed = self._file.changed(), self._certificates.changed()
        self._is_requested = self._is_requested or changed
        return self._is_requested or renewed

    def next(self) -> ServerConfig | None:
        """Return the configuration to use from now on, which is the current one if only its certificate was renewed.

        Return ``None`` if the new configuration is invalid, after logging the reason; the current one then stays in use.
        """
        requested, self._is_requested = self._is_requested, False
        if requested:
            self._file.take_as_known()
        try:
            config = self._checked() if requested else self.config
            if config.tls is not None:
                tls_context(config.tls)
        except Exception as error:  # noqa: BLE001  # whatever it is, the server goes on with what it has
            self.refused(error, "configuration" if requested else "certificate")
            return None
        return config

    def refused(self, error: Exception, what: str = "configuration") -> None:
        """Log why a new configuration is not used."""
        reason = printable(" ".join(str(error).split()))
        unexpected = None if isinstance(error, SyncError) else error
        log.error("The %s was not reloaded, and the old one stays in use: %s", what, reason, exc_info=unexpected)

    def _warn_of_end(self) -> None:
        """Log, once, that the certificate has expired; it is still used."""
        if self.config.tls is not None and self._end is not None and self._end < datetime.now(UTC):
            end, self._end = self._end, None
            path = self.config.tls.certificate
            log.warning("The certificate in %s ended at %s UTC, and clients refuse it. Renew it.", path, f"{end:%F %H:%M}")

    def _checked(self) -> ServerConfig:
        config = self._read()
        self._check(config)
        if (config.tls is None) != (self.config.tls is None):
            raise ConfigurationError("tls was added or removed. Restart the server for that.")
        if config.workers != self.config.workers:
            raise ConfigurationError(f"workers is {config.workers}, and was {self.config.workers}. Restart the server for that.")
        if _where_lines_go(config) != _where_lines_go(self.config):
            raise ConfigurationError("log was changed. Restart the server for that.")
        return config


def _where_lines_go(config: ServerConfig) -> LogOptions:
    # `access` is left out, since it is read for each request and so may change.
    return config.log.model_copy(update={"access": True})
