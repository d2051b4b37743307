"""A check beside every test: nothing that is logged, raised or printed has a secret that the test gave this package.

What counts as a secret is what the package is told to hide: tokens, passwords and headers of configurations and clients, and the
passwords of URLs. The databases of the tests have a password that is long enough to be found (:mod:`tests.database_servers`).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from airflow_provider_sync import redaction
from airflow_provider_sync.exceptions import SyncError
from airflow_provider_sync.logs.formats import JsonFormatter, TextFormatter
from airflow_provider_sync.redaction import MIN_LENGTH

SHOWS = "shows_secrets"
"""Marker of a test whose command has to print a secret, such as a new token; its log and errors have none all the same."""


class SecretsWatch(logging.Handler):
    """A plugin of pytest, and a handler that formats every record of this package as its logs do."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self._formatters = (TextFormatter(), JsonFormatter())
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._leaks: list[str] = []
        self._is_shown = False

    def pytest_configure(self, config: pytest.Config) -> None:
        """Listen wherever the package is told of a secret, makes an error or logs, and wherever a test reads what was printed."""
        config.addinivalue_line("markers", f"{SHOWS}: what it prints has a secret, which is its purpose")
        patched = pytest.MonkeyPatch()
        config.add_cleanup(patched.undo)
        add, raised, read = redaction._SECRETS.add, SyncError.__init__, pytest.CaptureFixture.readouterr

        def told(values: Iterable[str]) -> None:
            found = list(values)
            self._remember(found)
            add(found)

        def raising(error: SyncError, *arguments: object) -> None:
            raised(error, *arguments)
            self._look("an error", " ".join(map(str, error.args)))

        def printed(capture: pytest.CaptureFixture[Any]) -> Any:
            found = read(capture)
            if not self._is_shown:
                self._look("standard output", str(found.out))
                self._look("standard error", str(found.err))
            return found

        patched.setattr(redaction._SECRETS, "add", told)
        patched.setattr(SyncError, "__init__", raising)
        patched.setattr(pytest.CaptureFixture, "readouterr", printed)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Fail a test that let a secret out. Those of its fixtures count; those of other tests do not."""
        self._is_shown = item.get_closest_marker(SHOWS) is not None
        # Here, since what sets up logging may have removed it.
        logger = logging.getLogger("airflow_provider_sync")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
        assert not self._leaks, self._found()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(self) -> Iterator[None]:
        """Forget the test."""
        yield
        self._patterns.clear()
        self._leaks.clear()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterator[pytest.TestReport]:
        """Fail a test that has passed, although what it printed and did not read has a secret."""
        report = yield
        if report.when == "call" and report.passed and not self._is_shown:
            self._look("standard output", report.capstdout)
            self._look("standard error", report.capstderr)
            if self._leaks:
                report.outcome, report.longrepr = "failed", f"{item.nodeid}: {self._found()}"
        return report

    def emit(self, record: logging.LogRecord) -> None:
        """Look at a record, as a log would have it."""
        if self._patterns:
            for formatter in self._formatters:
                self._look("the log", formatter.format(record))

    def _remember(self, values: Iterable[str]) -> None:
        for value in values:
            if len(value.strip()) >= MIN_LENGTH and value not in self._patterns:
                # A password such as `postgres` is no reason to refuse the word `postgresql`.
                self._patterns[value] = re.compile(rf"(?<![A-Za-z0-9]){re.escape(value.strip())}(?![A-Za-z0-9])")

    def _found(self) -> str:
        return "\n".join(["a secret was let out:", *self._leaks])

    def _look(self, where: str, text: str) -> None:
        # Others may be told of secrets meanwhile.
        if any(pattern.search(text) for pattern in tuple(self._patterns.values())):
            self._leaks.append(f"{where}: {text}")
