"""A configuration with secrets that other users can read is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.config.exposed_secrets import exposed_secrets


@pytest.mark.parametrize(
    ("settings", "held"),
    [
        ({"tokens": ["secret"]}, True),
        ({"tokens": ["${A}", {"token": "secret"}]}, True),
        ({"tokens": ["${A}", {"token": "${B}"}, {"token_sha256": "a" * 64}]}, False),
        ({"tokens": [7, None]}, False),
        ({"metrics": {"token": "secret"}}, True),
        ({"metrics": {"token_sha256": "a" * 64}}, False),
        ({"mask_key": "secret"}, True),
        ({"connections": {"shop": "mysql://reader:secret@localhost/shop"}}, True),
        ({"connections": {"shop": "mysql://reader:${DB_PASSWORD}@localhost/shop", "copy": "sqlite:///copy.db"}}, False),
        ({"connections": {"shop": "postgresql:///shop?user=reader&password=secret"}}, True),
        ({"connections": {"shop": "postgresql://db/shop?sslmode=verify-full&sslpassword=${KEY_PASSWORD}"}}, False),
        ({"url": "https://source.example", "token": "secret"}, True),
        ({"url": "https://source.example", "token": "${SYNC_TOKEN}"}, False),
        ({}, False),
    ],
)
def test_what_counts(settings: dict[str, Any], held: bool, tmp_path: Path) -> None:
    """Any secret as text counts, for a server and a client; a variable and a SHA-256 do not."""
    path = tmp_path / "server.yaml"
    path.write_text(yaml.safe_dump(settings))
    path.chmod(0o644)
    assert (exposed_secrets(path) is not None) is held


def test_permissions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Only a file that all users can read gets a warning, with what to do and without the token; `check` ends with 0."""
    path = tmp_path / "server.yaml"
    path.write_text("tokens: [s3cret]")
    for mode, told in ((0o640, False), (0o644, True)):
        path.chmod(mode)
        assert main(["check", "--config", str(path)]) == 0
        printed = capsys.readouterr().out
        assert ("holds secrets" in printed) is told
        assert "s3cret" not in printed
    assert exposed_secrets(path) == (
        f"Every user of this machine can read {path}, which holds secrets. Write ${{NAME}} in their place, or a token's SHA-256,"
        f" or protect the file: chmod o= {path}"
    )


def test_serve_warns(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log of `serve` has the warning at its start, even if it then cannot listen."""
    path = tmp_path / "server.yaml"
    path.write_text("tokens: [s3cret]")
    path.chmod(0o644)
    assert main(["serve", "--config", str(path), "--host", "192.0.2.1"]) == 2
    printed = capsys.readouterr().err
    assert f"Every user of this machine can read {path}, which holds secrets." in printed
    assert "s3cret" not in printed
