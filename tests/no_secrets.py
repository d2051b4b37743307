"""A check beside other tests: nothing that this package logs has a secret of a configuration that the test used."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator

import pytest

from airflow_provider_sync.config import options
from airflow_provider_sync.logs.formats import JsonFormatter, TextFormatter
from airflow_provider_sync.redaction import MIN_LENGTH, remember_secrets


class _Watch(logging.Handler):
    """Formats every record as a log would, and keeps the lines that have a secret."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.secrets: set[str] = set()
        self.leaks: list[str] = []
        self._formatters = (TextFormatter(), JsonFormatter())

    def remember(self, values: Iterable[str | None]) -> None:
        """Take note of secrets, and have them hidden."""
        found = [value for value in values if value is not None]
        self.secrets |= {value for value in found if len(value) >= MIN_LENGTH}
        remember_secrets(found)

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a line."""
        for line in (formatter.format(record) for formatter in self._formatters):
            if any(re.search(rf"(?<![A-Za-z0-9]){re.escape(secret)}(?![A-Za-z0-9])", line) for secret in self.secrets):
                self.leaks.append(line)


@pytest.fixture(autouse=True)
def no_secret_is_logged(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test that makes this package log a secret of its configuration."""
    watch = _Watch()
    monkeypatch.setattr(options, "remember_secrets", watch.remember)
    logger = logging.getLogger("airflow_provider_sync")
    logger.addHandler(watch)
    try:
        yield
    finally:
        logger.removeHandler(watch)
    assert watch.leaks == []
