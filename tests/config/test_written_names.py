"""What can be read of a client.yaml with mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_sync.config.written_names import WrittenNames


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "tables: {a: {}, b: {x: 1}}\ndirectories: {d: {}}",
            WrittenNames(tables=("a", "b"), directories=("d",), history_days=90),
        ),
        ("tables: '*'", WrittenNames(tables=("*",), history_days=90)),
        ("tables: [a, 'b*', 1]", WrittenNames(tables=("a", "b*"), history_days=90)),
        ("history: sqlite:///x\nhistory_days: 7", WrittenNames(history="sqlite:///x", history_days=7)),
        ("history: '${NO_SUCH}'\nhistory_days: '${NO_SUCH}'", WrittenNames()),
        ("tables: '${NO_SUCH}'", WrittenNames(history_days=90)),
        ("history: 7\nhistory_days: -1", WrittenNames()),
        ("tables: 7\ndirectories:\nhistory_days: true", WrittenNames()),
        ("tables: {", WrittenNames()),
        ("[]", WrittenNames()),
    ],
)
def test_what_is_written(tmp_path: Path, text: str, expected: WrittenNames) -> None:
    """Names and history are read as far as they can be; days that are not known are as many as possible."""
    path = tmp_path / "client.yaml"
    path.write_text(text)
    assert WrittenNames.of(path) == expected


def test_no_file(tmp_path: Path) -> None:
    """A file that is missing names nothing."""
    assert WrittenNames.of(tmp_path / "client.yaml") == WrittenNames()
