"""The check for secrets finds them."""

from __future__ import annotations

import logging

import pytest

from airflow_provider_sync.redaction import redact, remember_secrets
from tests.no_secrets import SecretsWatch

SECRET = "planted-by-a-test"


@pytest.fixture
def watch() -> SecretsWatch:
    """Give a check that knows a secret."""
    watch = SecretsWatch()
    watch._remember([SECRET, "short"])
    return watch


@pytest.mark.parametrize("text", [SECRET, f"token={SECRET},", f"[{SECRET}]"])
def test_found(watch: SecretsWatch, text: str) -> None:
    """A secret is found at any place."""
    watch._look("standard output", text)
    assert watch._leaks == [f"standard output: {text}"]


@pytest.mark.parametrize("text", ["***", "short", f"{SECRET}s", "planted-by"])
def test_not_found(watch: SecretsWatch, text: str) -> None:
    """Hidden secrets, words that contain one, and too short ones are not found."""
    watch._look("standard error", text)
    assert watch._leaks == []


@pytest.mark.parametrize("turn", ["first", "second"])
def test_secrets_of_another_test(turn: str) -> None:
    """What one test has hidden, the next one sees."""
    text = "planted in two tests"
    assert redact(text) == text
    remember_secrets([text])
    assert redact(text) == "***"


def test_a_log(watch: SecretsWatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A log record is checked as it would be written, with arguments and traceback."""
    record = logging.LogRecord("airflow_provider_sync", logging.INFO, __file__, 1, "see %s", (SECRET,), None)
    monkeypatch.setattr("airflow_provider_sync.logs.formats.redact", lambda text: text)
    watch.emit(record)
    assert len(watch._leaks) == 2
