"""The server as a process: starting, refusing to start, and ending."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.protocol.v2.messages import GetRows, RequestedSlice
from airflow_provider_sync.server.process.serving import serve
from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.server.process.running import wait_until
from tests.server.tables.table_locks import locked, waiting
from tests.server.test_streaming import fill
from tests.server.wire import config, open_stream, post, read_all, send

SERVE = """
import sys
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.serving import serve
serve(ServerConfig.from_dict({"directories": {"d": {"path": sys.argv[1]}}}), port=0)
"""

SERVE_TABLE = """
import sys
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process.serving import serve
serve(ServerConfig.from_dict({"connections": {"main": sys.argv[1]}, "tables": {"t": {}}}), port=0)
"""

SERVE_HANGING = """
import sys
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process import uvicorn_server
from airflow_provider_sync.server.process.serving import serve
uvicorn_server._CUT_SECONDS = 1
tables = {"t": {"hasher": "tests.server.tables.hashers.HangingHasher"}}
serve(ServerConfig.from_dict({"connections": {"main": sys.argv[1]}, "tables": tables}), port=0)
"""

SERVE_SIGNALLED = """
import os, sys
from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.server.process import serving
directory, workers, number = sys.argv[1:]
name = "create_app" if workers == "1" else "serve_with_workers"
begin = getattr(serving, name)
def signalled(*arguments, **options):
    os.kill(os.getpid(), int(number))
    return begin(*arguments, **options)
setattr(serving, name, signalled)
serving.serve(ServerConfig.from_dict({"directories": {"d": {"path": directory}}, "workers": int(workers)}), port=0)
"""


@contextmanager
def process(path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a server; give the process and its URL."""
    command = [sys.executable, "-c", SERVE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            line = server.stdout.readline()
            assert line.startswith("Serving at http://127.0.0.1:")
            yield server, line.split()[-1]
        finally:
            server.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals(tmp_path: Path, number: signal.Signals) -> None:
    """A signal ends the server normally, after one line with its URL."""
    with process(tmp_path) as (server, url):
        assert send(url, "GET", "/health").status == 200
        server.send_signal(number)
        assert server.communicate() == ("", "")
        assert server.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_signal_before_the_server_answers(tmp_path: Path, number: signal.Signals, workers: int) -> None:
    """A signal that comes while the server starts ends it as well, although it listens already."""
    command = [sys.executable, "-c", SERVE_SIGNALLED, str(tmp_path), str(workers), str(int(number))]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


def test_hangup(tmp_path: Path) -> None:
    """SIGHUP does not end a server."""
    with process(tmp_path) as (server, url):
        server.send_signal(signal.SIGHUP)
        assert send(url, "GET", "/health").status == 200
        server.terminate()
        assert server.communicate() == ("", "")
        assert server.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal(tmp_path: Path, number: signal.Signals) -> None:
    """A second signal ends the server at once, including stalled streams, without a traceback."""
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    fields = [("config_name", "d"), ("files[0]", "large")]
    with process(tmp_path) as (server, url), closing(open_stream(url, "/getFiles", fields)) as stream:
        assert stream.recv(12) == b"HTTP/1.1 200"
        server.send_signal(number)
        wait_until_refused(url)
        server.send_signal(number)
        output, log = server.communicate(timeout=60)
        assert output == ""
        assert log.splitlines() == ["Files of directory 'd' ended early: The server is shutting down. Try again when it is back."]
        assert server.returncode == 0


def wait_until_refused(url: str) -> None:
    """Wait until a server has stopped to listen: of two signals that come together, a process sees one."""
    with suppress(OSError):
        while True:
            send(url, "GET", "/health")


@pytest.mark.parametrize("engine", [pytest.param("mariadb", marks=pytest.mark.slow), "postgresql"])
def test_a_second_signal_while_the_source_waits(request: pytest.FixtureRequest, engine: str) -> None:
    """A request that waits for a locked table does not stop the server from ending: its statement is cancelled."""
    url = request.getfixturevalue(f"{engine}_url")
    fill(url, 1000)
    command = [sys.executable, "-c", SERVE_TABLE, url]
    with locked(url), subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base = server.stdout.readline().split()[-1]
            with (
                closing(open_stream(base, "/getTableHash", [("config_name", "t")])),
                closing(open_stream(base, "/getRows", GetRows(table_slice=RequestedSlice(name="t")))),
            ):
                wait_until(lambda: waiting(url) >= 2)
                server.terminate()
                wait_until_refused(base)
                server.terminate()
                output, log = server.communicate(timeout=60)
        finally:
            server.kill()
        assert waiting(url) == 0
    assert output == ""
    assert "Traceback" not in log
    assert server.returncode == 0


def test_work_that_cannot_be_cancelled(tmp_path: Path) -> None:
    """A request that hangs and cannot be cancelled, such as on a broken disk, does not stop the server from ending."""
    url = f"sqlite:///{tmp_path / 'source.db'}"
    fill(url, 1)
    command = [sys.executable, "-c", SERVE_HANGING, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            base = server.stdout.readline().split()[-1]
            with closing(open_stream(base, "/getTableHash", [("config_name", "t")])):
                assert server.stdout.readline() == "hanging\n"
                server.terminate()
                wait_until_refused(base)
                server.terminate()
                _, log = server.communicate(timeout=60)
        finally:
            server.kill()
    assert log.splitlines()[-1] == "Requests that could not be cancelled within 1 seconds: 1. The server ends without them."
    assert "Traceback" not in log
    assert server.returncode == 0


def test_a_killed_server(tmp_path: Path) -> None:
    """After SIGKILL during a stream, another server can use the port at once, and the client sees a truncated body."""
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    with process(tmp_path) as (server, url):
        stream = open_stream(url, "/getFiles", [("config_name", "d"), ("files[0]", "large")])
        with closing(stream):
            assert stream.recv(12) == b"HTTP/1.1 200"
            server.kill()
            server.wait()
            with RunningServer(config(directories={"d": {"path": str(tmp_path)}}), port=int(url.rpartition(":")[2])) as second:
                assert second.url == url
                assert send(url, "GET", "/health").status == 200
                assert is_cut(stream)


def test_streams_end(tmp_path: Path) -> None:
    """A running stream ends normally when the server is stopped."""
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    with process(tmp_path) as (server, url):
        fields = [("config_name", "d"), ("files[0]", "large")]
        with closing(open_stream(url, "/getFiles", fields, version="1.0")) as stream:
            start = stream.recv(12)
            server.terminate()
            body = (start + read_all(stream)).partition(b"\r\n\r\n")[2]
        assert body.count(b"\0") >= 64 << 20
        assert server.communicate() == ("", "")
        assert server.returncode == 0


def test_streams_are_cut(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """A server in a thread does not wait for clients at the end of its block, and shows no traceback."""
    (tmp_path / "large").write_bytes(bytes(64 << 20))
    server = RunningServer(config(directories={"d": {"path": str(tmp_path)}}))
    with server:
        stream = open_stream(server.url, "/getFiles", [("config_name", "d"), ("files[0]", "large")])
        assert stream.recv(12) == b"HTTP/1.1 200"
    with closing(stream):
        assert is_cut(stream)
    assert "Traceback" not in capfd.readouterr().err + caplog.text
    with pytest.raises(ConnectionRefusedError):
        send(server.url, "GET", "/health")


def is_cut(stream: socket.socket) -> bool:
    """Whether the connection ends before the body does."""
    try:
        return not read_all(stream).endswith(b"0\r\n\r\n")
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("host", ["0.0.0.0", "::", ""])
def test_tokens_are_required(host: str) -> None:
    """Without tokens, only this machine can reach the server."""
    ready: list[str] = []
    with pytest.raises(ConfigurationError, match="Set tokens"):
        serve(config(), host=host, port=0, on_ready=ready.append)
    with pytest.raises(ConfigurationError, match="Set tokens"), RunningServer(config(), host=host):
        pass
    assert not ready


def test_tokens_open_the_door() -> None:
    """With tokens, the server may listen on any address."""
    with RunningServer(config(tokens=["secret"]), host="0.0.0.0") as server:
        local = server.url.replace("0.0.0.0", "127.0.0.1")
        assert send(local, "GET", "/health").status == 200
        assert post(local, "/getFileHashes").status == 401


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_loopback(host: str) -> None:
    """Every loopback address is allowed without tokens."""
    with RunningServer(config(), host=host) as server:
        assert server.url.startswith(f"http://{host}:")
        assert send(server.url, "GET", "/health").status == 200


@pytest.mark.parametrize(
    ("host", "port"), [("127.0.0.1", None), ("203.0.113.1", 0), ("nowhere.invalid", 0), ("127.0.0.1", 70_000), ("127.0.0.1", -1)]
)
def test_bad_addresses(host: str, port: int | None) -> None:
    """The error about an unusable address names it."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1] if port is None else port
        with pytest.raises(ConfigurationError, match=f"Cannot listen on {host}:{port}"):
            serve(ServerConfig.from_dict({"tokens": ["secret"]}), host=host, port=port)
