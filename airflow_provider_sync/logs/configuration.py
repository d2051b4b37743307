"""The one configuration of the log, for the server and for every command: level, format, and where lines go."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from logging.config import dictConfig
from typing import Any, TextIO

from airflow_provider_sync.logs.files import DEFAULT_BACKUPS, DEFAULT_MAX_BYTES

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")

OWN = "airflow_provider_sync"
_LOGGERS = (OWN, "uvicorn")
"""Loggers with handlers of their own: Airflow, imported later if one of its connections is named, configures the root."""

_SILENT = ("urllib3",)
"""Loggers whose warnings only repeat what our errors say."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """How a process logs.

    :ivar level: lowest level of this package's lines; other libraries log warnings and errors only, since their details may hold
        values of rows
    :ivar format: ``text`` or ``json``
    :ivar file: path of a file to write to; ``None`` for standard error
    :ivar max_bytes: size at which the file is rotated; 0 for never
    :ivar backups: number of rotated files that are kept
    """

    level: str = "warning"
    format: str = "text"
    file: str | None = None
    max_bytes: int = DEFAULT_MAX_BYTES
    backups: int = DEFAULT_BACKUPS


def configure_logs(settings: LogSettings) -> None:
    """Send all that this process logs to one place from now on."""
    dictConfig(logging_dict(settings))


@contextmanager
def configured_logs(settings: LogSettings) -> Iterator[None]:
    """Configure the log, and restore what was before at the end of the block, whatever was configured inside."""
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in _touched()]
    configure_logs(settings)
    try:
        yield
    finally:
        for logger, handlers, level, propagate in before:
            for handler in logger.handlers:
                if handler not in handlers:
                    handler.close()
            logger.handlers[:] = handlers
            logger.propagate = propagate
            logger.setLevel(level)


def logging_dict(settings: LogSettings) -> dict[str, Any]:
    """Return the settings as ``logging.config.dictConfig`` takes them."""
    formatter = "TextFormatter" if settings.format == "text" else "JsonFormatter"
    handler: dict[str, Any] = {"()": f"{OWN}.logs.configuration.StandardError"}
    if settings.file is not None:
        handler = {
            "()": f"{OWN}.logs.files.LogFile",
            "path": settings.file,
            "max_bytes": settings.max_bytes,
            "backups": settings.backups,
        }
    level, others = settings.level.upper(), max(logging.WARNING, logging.getLevelNamesMapping()[settings.level.upper()])
    own = {"level": level, "handlers": ["output"], "propagate": False}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": f"{OWN}.logs.formats.{formatter}"}},
        "handlers": {"output": {**handler, "formatter": "line"}},
        "loggers": {name: own if name == OWN else {**own, "level": others} for name in _LOGGERS}
        | {name: {"level": "ERROR"} for name in _SILENT},
        "root": {"level": others, "handlers": ["output"]},
    }


def _touched() -> list[logging.Logger]:
    return [logging.getLogger(name) for name in ("", *_LOGGERS, *_SILENT)]


class StandardError(logging.StreamHandler[TextIO]):
    """Writes to whatever is standard error at the time: bars of progress put their own stream there."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # a property answers for the attribute
        """Standard error."""
        return sys.stderr
