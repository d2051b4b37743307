"""Text from others, in logs and on terminals."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from airflow_provider_sync.printable import MAX_MESSAGE, printable, printable_traceback, reason


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("orders", "orders"),
        ("größe 表 😀 b\\n", "größe 表 😀 b\\n"),
        ("a\nb\r\tc\0", "a\\nb\\r\\tc\\x00"),
        ("\x1b[2J\x9b31m\x7f", "\\x1b[2J\\x9b31m\\x7f"),
        ("\u202egpj.exe\u2028\u200b\ufeff", "\\u202egpj.exe\\u2028\\u200b\\ufeff"),
        ("\udcff\ud800", "\\udcff\\ud800"),
        (ValueError("a\nb"), "a\\nb"),
    ],
)
def test_what_is_shown(text: object, shown: str) -> None:
    """Letters of every script stay, and control characters for terminals and logs do not."""
    assert printable(text) == shown


def test_long_texts() -> None:
    """A text is cut at the limit."""
    assert printable("x" * 10_000_000, 3) == "xxx…"
    assert printable("xxx", 3) == "xxx"


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text becomes one printable line that can be encoded."""
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode().decode() == shown


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("two\nlines."), "two lines"),
        (ValueError(), "no reason was given"),
        (OperationalError("SELECT 1", {}, ValueError("no such table: t")), "no such table: t"),
        (PoolTimeout("QueuePool limit reached", code="3o7r"), "QueuePool limit reached"),
        (OSError(28, "No space left"), "[Errno 28] No space left"),
    ],
)
def test_reasons(error: Exception, said: str) -> None:
    """An error's message is on one line; an error without a message does not show its class."""
    assert reason(error) == said


def test_the_end_of_a_long_traceback_is_shown() -> None:
    """Of a traceback with megabytes of text of others, the end is shown, which has the error itself."""
    error = ValueError("the error itself")
    error.__cause__ = ValueError("\x1b[2J" * 1_000_000)
    shown = printable_traceback(error)
    assert shown.startswith("…")
    assert shown.endswith("ValueError: the error itself")
    assert len(shown) < 5 * MAX_MESSAGE
    assert all(line.isprintable() for line in shown.split("\n"))
