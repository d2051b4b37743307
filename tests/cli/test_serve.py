"""``serve``: a process that answers until it is told to stop."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from airflow_provider_sync.cli.main import main
from tests.cli.conftest import Command
from tests.cli.site import Site, reports
from tests.server.wire import send


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_answers_until_it_is_told_to_stop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """``serve --port 0`` prints one line with its URL when it answers, serves, and ends with 0 at a signal."""
    site = Site(tmp_path)
    command = [
        sys.executable,
        "-m",
        "airflow_provider_sync.cli.main",
        "serve",
        "--config",
        str(site.server_config),
        "--port",
        "0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            assert send(url, "GET", "/health").status == 200
            site.configure(url)
            assert main(["run", "--config", str(site.config), "--json"]) == 0
        finally:
            server.send_signal(number)
            output = server.communicate(timeout=60)
    assert {report["status"] for report in reports(capsys.readouterr().out).values()} == {"changed"}
    assert output == ("", "")
    assert server.returncode == 0


def test_serve_without_tokens_beyond_loopback(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """``serve`` refuses to offer everything to everybody."""
    assert main(["serve", "--config", str(site.server_config), "--host", "0.0.0.0", "--port", "0"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Set tokens" in printed.err


def test_a_token_opens_the_door(tmp_path: Path, command: Command, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong token ends ``run`` with 3, and is never shown."""
    from airflow_provider_sync.config import ServerConfig
    from airflow_provider_sync.server.serve import RunningServer

    with RunningServer(ServerConfig.from_dict({**yaml.safe_load(site.server_config.read_text()), "tokens": ["right"]})) as server:
        site.configure(server.url, token="wrong-token")
        assert command("run") == 3
        printed = capsys.readouterr()
        assert "wrong-token" not in printed.out + printed.err
        assert "token" in printed.err
        site.configure(server.url, token="right")
        assert command("run") == 0
