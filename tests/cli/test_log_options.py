"""How the flags of a command and ``server.yaml`` together decide what is logged."""

from __future__ import annotations

import pytest

from airflow_provider_sync.cli.log_options import log_settings
from airflow_provider_sync.cli.parser import build_parser
from airflow_provider_sync.config.log import LogOptions


@pytest.mark.parametrize(
    ("flags", "configured", "level"),
    [
        ([], None, "warning"),
        (["--quiet"], None, "error"),
        (["--log-file", "sync.log"], None, "info"),
        (["--log-file", "sync.log", "--log-level", "warning"], None, "warning"),
        (["--quiet", "--log-level", "debug"], None, "debug"),
        (["--quiet"], LogOptions(level="info"), "error"),
        (["--quiet", "--log-file", "server.log"], LogOptions(level="info"), "info"),
        (["--quiet"], LogOptions(level="info", file="server.log"), "info"),
        (["--log-level", "error"], LogOptions(level="info"), "error"),
    ],
)
def test_level(flags: list[str], configured: LogOptions | None, level: str) -> None:
    """``--quiet`` shows only errors but does not change a log file; ``--log-level`` overrides both."""
    assert log_settings(build_parser().parse_args(["serve", *flags]), configured).level == level
