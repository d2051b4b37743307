"""A server.yaml with tokens that other users can read is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config.exposed_tokens import exposed_tokens, holds_tokens


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ({"tokens": ["secret"]}, True),
        ({"tokens": ["${A}", {"token": "secret"}]}, True),
        ({"tokens": ["${A}", {"token": "${B}"}, {"token_sha256": "a" * 64}]}, False),
        ({"tokens": "no list"}, False),
        ({"tokens": [7, None]}, False),
        ({}, False),
    ],
)
def test_what_counts(settings: dict[str, Any], held: bool) -> None:
    """A token as text counts; a variable of the environment and a SHA-256 do not."""
    assert holds_tokens(settings) is held


def test_permissions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a file that everybody can read is told, with what to do, and never with the token; `check` says it and ends with 0."""
    path = tmp_path / "server.yaml"
    path.write_text("tokens: [s3cret]")
    for mode, told in ((0o640, False), (0o644, True)):
        path.chmod(mode)
        assert main(["check", "--config", str(path)]) == 0
        printed = capsys.readouterr().out
        assert ("holds tokens" in printed) is told
        assert "s3cret" not in printed
    assert exposed_tokens(path) == (
        f"Every user of this machine can read {path}, which holds tokens. Write token_sha256 in their place, or protect the file:"
        f" chmod o= {path}"
    )


def test_serve_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log of `serve` says it when the server starts, also one that then cannot listen."""
    path = tmp_path / "server.yaml"
    path.write_text("tokens: [s3cret]")
    path.chmod(0o644)
    assert main(["serve", "--config", str(path), "--host", "192.0.2.1"]) == 2
    printed = capsys.readouterr().err
    assert f"Every user of this machine can read {path}, which holds tokens." in printed
    assert "s3cret" not in printed
