"""Combine the ``--log-…`` flags with the server's ``log`` options; the flags take precedence."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from airflow_provider_sync.logs.configuration import LogSettings

if TYPE_CHECKING:
    from airflow_provider_sync.config.log import LogOptions


def log_settings(options: Namespace, configured: LogOptions | None = None) -> LogSettings:
    """Return how a command logs.

    :param options: of the command line
    :param configured: ``log`` of ``server.yaml``; ``None`` for the defaults of a command
    """
    base = LogSettings() if configured is None else LogSettings(**configured.model_dump(exclude={"access"}))
    file = options.log_file or base.file
    # --quiet is about the terminal: a log file still records what the command did.
    level = "error" if options.quiet and file is None else "info" if file is not None and configured is None else base.level
    return LogSettings(
        level=options.log_level or level,
        format=options.log_format or base.format,
        file=file,
        max_bytes=base.max_bytes,
        backups=base.backups,
    )
