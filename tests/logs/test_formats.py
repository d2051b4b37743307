"""Lines of the log: one for each record, with time and level, without secrets."""

from __future__ import annotations

import json
import logging
import re

import pytest

from airflow_provider_sync.logs.formats import JsonFormatter, TextFormatter
from airflow_provider_sync.redaction import remember_secrets

SECRET = "token-of-formats"


def record(
    message: str,
    *arguments: object,
    error: Exception | None = None,
    fields: dict[str, object] | None = None,
    logger: str = "airflow_provider_sync.server",
) -> logging.LogRecord:
    """Make a record as a logger does."""
    exc_info = (type(error), error, error.__traceback__) if error else None
    made = logging.LogRecord(logger, logging.WARNING, __file__, 1, message, arguments, exc_info)
    if fields is not None:
        made.fields = fields
    return made


def caught(message: str) -> Exception:
    """Return an error with a traceback."""
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_text() -> None:
    """A line of text begins with time and offset, level and logger, and cannot imitate another line."""
    line = TextFormatter().format(record("Table %r: %s", "orders", "gone\n2026 ERROR forged"))
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
    assert re.fullmatch(stamp + r" WARNING server: Table 'orders': gone\\n2026 ERROR forged", line)


@pytest.mark.parametrize(
    ("logger", "shown"),
    [
        ("airflow_provider_sync.server.observability.access_log", "access_log"),
        ("airflow_provider_sync", "airflow_provider_sync"),
        ("airflow_provider_synchronous.x", "airflow_provider_synchronous.x"),
        ("uvicorn.error", "uvicorn.error"),
    ],
)
def test_the_name_of_the_logger(logger: str, shown: str) -> None:
    """Loggers of this package have the last part of their names, others the whole name."""
    assert f" WARNING {shown}: text" in TextFormatter().format(record("text", logger=logger))


def test_json() -> None:
    """A line of JSON has the same parts, the facts as fields, and a traceback as text."""
    line = JsonFormatter().format(
        record("It broke: %s", "'x'", error=caught("boom\nbang"), fields={"rows": 3, "table": "orders"})
    )
    assert "\n" not in line
    facts = json.loads(line)
    assert {name: facts[name] for name in ("level", "logger", "message", "rows", "table")} == {
        "level": "WARNING",
        "logger": "airflow_provider_sync.server",
        "message": "It broke: 'x'",
        "rows": 3,
        "table": "orders",
    }
    assert facts["exception"].startswith("Traceback")
    assert facts["exception"].endswith("boom\nbang")


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_nothing_controls_the_terminal(formatter: logging.Formatter) -> None:
    """A message, a traceback and facts have no escape codes, whatever a server sent; letters of all scripts stay."""
    sent = "\x1b[2J\x9b2J\u202e\u200b"
    line = formatter.format(record(f"日本 {sent}", error=caught(f"日本 {sent}"), fields={"table": sent, "tables": [sent]}))
    assert all(part.isprintable() for part in line.split("\n"))
    assert "日本" in (json.loads(line)["message"] if line.startswith("{") else line)
    assert "日本" in formatter.format(record("日本"))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()], ids=["text", "json"])
def test_secrets(formatter: logging.Formatter) -> None:
    """No secret is logged in a message, an argument, a traceback or a fact."""
    remember_secrets([SECRET])
    error = caught(f"mysql://u:{SECRET}@h: {SECRET}")
    line = formatter.format(record(f"{SECRET} %s", SECRET, error=error, fields={"table": SECRET, "tables": [SECRET]}))
    assert SECRET not in line
    assert line.count("***") >= 4
