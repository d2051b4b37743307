"""``serve``: a process that answers until it is told to stop."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from airflow_provider_sync.cli.main import main
from tests.cli.conftest import Command
from tests.cli.site import Site, reports
from tests.database_server import free_port
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
    assert output[0] == ""
    assert [line for line in output[1].splitlines() if " INFO " not in line] == []
    assert server.returncode == 0


def test_serve_without_tokens_beyond_loopback(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """``serve`` refuses to listen on other addresses than loopback without tokens."""
    assert main(["serve", "--config", str(site.server_config), "--host", "0.0.0.0", "--port", "0"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Set tokens" in printed.err


def test_a_token_opens_the_door(tmp_path: Path, command: Command, site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong token ends ``run`` with 3, and is never shown."""
    from airflow_provider_sync.config import ServerConfig
    from airflow_provider_sync.server.process.uvicorn_server import RunningServer

    with RunningServer(ServerConfig.from_dict({**yaml.safe_load(site.server_config.read_text()), "tokens": ["right"]})) as server:
        site.configure(server.url, token="wrong-token")
        assert command("run") == 3
        printed = capsys.readouterr()
        assert "wrong-token" not in printed.out + printed.err
        assert "token" in printed.err
        site.configure(server.url, token="right")
        assert command("run") == 0


@pytest.mark.parametrize("streams", ["> /dev/full 2> /dev/full", "<&- >&- 2>&-"], ids=["full", "closed"])
def test_nobody_reads_what_it_says(tmp_path: Path, streams: str) -> None:
    """A server whose output and log cannot be written still serves, and ends with 0."""
    site = Site(tmp_path)
    port = free_port()
    program = f"{sys.executable} -m airflow_provider_sync.cli.main serve --config {site.server_config} --port {port}"
    url = f"http://127.0.0.1:{port}"
    with subprocess.Popen(["sh", "-c", f"exec {program} {streams}"]) as server:
        try:
            while not answers(url):
                assert server.poll() is None
            # Each is a line in the log.
            server.send_signal(signal.SIGHUP)
            assert send(url, "POST", "/getTable", headers={"Host": "evil.example"}).status == 421
            assert answers(url)
        finally:
            server.terminate()
        assert server.wait(60) == 0


def answers(url: str) -> bool:
    """Whether a server answers yet."""
    try:
        return send(url, "GET", "/health").status == 200
    except OSError:
        return False


def test_a_port_that_is_taken(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """A second server on one port ends with 2, and one line that says so."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        assert main(["serve", "--config", str(site.server_config), "--port", str(port)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert f"Cannot listen on 127.0.0.1:{port}: Address already in use" in printed.err


@pytest.mark.parametrize("kind", ["missing", "a folder", "binary", "a list"])
def test_a_configuration_that_cannot_be_read(tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A configuration that cannot be read ends with 2, and one line that names it."""
    path = tmp_path / "server.yaml"
    if kind == "a folder":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"\xff\xfe" if kind == "binary" else b"- tables")
    assert main(["serve", "--config", str(path)]) == 2
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert str(path) in printed.err


def test_what_serve_imports() -> None:
    """``serve`` does not import modules for clients, which take a quarter of the start time."""
    code = "import sys, airflow_provider_sync.cli.serve; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    needless = {"airflow", "airflow_provider_sync.client", "airflow_provider_sync.sync", "fsspec", "requests", "rich"}
    assert needless.isdisjoint(loaded)
