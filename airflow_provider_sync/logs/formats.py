"""Formats of log lines: text for people, JSON for programs; both hide secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_sync.printable import MAX_MESSAGE, printable, printable_traceback
from airflow_provider_sync.redaction import redact

FIELDS = "fields"
"""Attribute of a record that has its facts one by one, as a mapping of names to values; JSON has them beside the message."""


_OWN = "airflow_provider_sync."


class TextFormatter(logging.Formatter):
    """Time, level, logger and message on one line; a traceback is on the lines below.

    Of this package's loggers only the last part of the name is shown, since no two have the same.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the text of a record."""
        message = printable(record.getMessage(), MAX_MESSAGE)
        line = f"{time_of(record)} {record.levelname} {_short_name(record.name)}: {message}"
        trace = _trace(record)
        return redact(f"{line}\n{trace}" if trace else line)


def _short_name(logger: str) -> str:
    return logger.rpartition(".")[2] if logger.startswith(_OWN) else logger


class JsonFormatter(logging.Formatter):
    """One JSON object on one line: ``time``, ``level``, ``logger``, ``message``, the facts, and ``exception`` for a traceback."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the JSON of a record."""
        facts: dict[str, Any] = {
            "time": time_of(record),
            "level": record.levelname,
            "logger": record.name,
            "message": printable(record.getMessage(), MAX_MESSAGE),
            **getattr(record, FIELDS, {}),
        }
        if trace := _trace(record):
            facts["exception"] = trace
        return json_line(facts)


def json_line(facts: Mapping[str, Any]) -> str:
    """Return facts as JSON on one line, with secrets hidden in each text, and all that is not printable as escapes."""
    shown = {name: _hidden(value) for name, value in facts.items()}
    line = json.dumps(shown, ensure_ascii=False)
    return line if line.isprintable() else json.dumps(shown)


def _hidden(value: Any) -> Any:
    # Before JSON escapes what a secret consists of.
    if isinstance(value, (list, tuple)):
        return [_hidden(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float)) else redact(str(value))


def time_of(record: logging.LogRecord) -> str:
    """Return when a record was made, in ISO 8601 with milliseconds and the offset from UTC."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


def _trace(record: logging.LogRecord) -> str:
    return printable_traceback(record.exc_info[1]) if record.exc_info and record.exc_info[1] else ""
