"""A server that runs, and a client's configuration for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_provider_sync.cli.main import main
from airflow_provider_sync.cli.terminal import progress_display
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.cli.site import Site

Command = Callable[..., int]


@pytest.fixture(autouse=True)
def no_progress(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no command print its progress, however long it takes on a busy machine."""
    monkeypatch.setattr(progress_display, "SECONDS_BETWEEN_LINES", 3600.0)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Give a server that runs, and a client that is configured."""
    site = Site(tmp_path)
    with RunningServer(ServerConfig.from_dict(site.server_settings)) as server:
        site.configure(server.url)
        yield site


@pytest.fixture
def command(site: Site) -> Command:
    """Give a function that runs a command with the client's configuration and returns the exit code."""

    def run(name: str, *arguments: str) -> int:
        return main([name, "--config", str(site.config), *arguments])

    return run
