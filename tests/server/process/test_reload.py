"""Reading the configuration again while the server runs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.protocol.v2.messages import DescribeTable, RequestedSlice, Segments
from tests.server.process.running import PATIENCE_SECONDS, Running, running, wait_until, write_config
from tests.server.tables.served_tables import execute
from tests.server.wire import open_stream, post, read_all, send

LARGE = 64 << 20


@pytest.fixture
def files(tmp_path: Path) -> dict[str, object]:
    """Have a folder with one large file, as an option."""
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "large").write_bytes(bytes(LARGE))
    return {"directories": {"d": {"path": str(tmp_path / "files")}}}


@pytest.fixture
def server(tmp_path: Path, files: dict[str, object]) -> Iterator[Running]:
    """Run a server that knows one token."""
    with running(tmp_path, tokens=["first"], **files) as server:
        yield server


def status(server: Running, token: str) -> int:
    """Ask for the files of the directory."""
    return post(server.url, "/getFileHashes", {"config_name": "d"}, token=token).status


def test_hangup_reads_the_configuration_again(server: Running, files: dict[str, object]) -> None:
    """After SIGHUP, the new configuration applies; a wrong one leaves the old one, with one line that says why."""
    assert (status(server, "first"), status(server, "second")) == (200, 401)
    write_config(server.config, tokens=["second"], **files)
    server.process.send_signal(signal.SIGHUP)
    wait_until(lambda: status(server, "second") == 200)
    assert status(server, "first") == 401

    for number, (wrong, reason) in enumerate(
        [
            ({"tokens": ["third"], "tabels": {}}, "There is no option 'tabels'"),
            ({"tokens": ["third"], "workers": 2}, "workers is 2, and was 1"),
            ({"tokens": ["third"], "tls": {"certificate": "none.pem"}}, "tls was added or removed"),
        ]
    ):
        write_config(server.config, **wrong)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: len(refusals(server)) > number)  # noqa: B023  # called within the loop
        assert reason in refusals(server)[number]
        assert (status(server, "second"), status(server, "third")) == (200, 401)
    assert server.end() == 0
    assert len(refusals(server)) == 3


def refusals(server: Running) -> list[str]:
    """Return why configurations were not used."""
    beginning = "The configuration was not reloaded, and the old one stays in use: "
    return [line.partition(beginning)[2] for line in server.log.splitlines() if beginning in line]


def test_hangup_while_the_server_stops(server: Running) -> None:
    """A server that waits for its last stream does not reload, and ends without an error in its log."""
    fields = [("config_name", "d"), ("files[0]", "large")]
    with closing(open_stream(server.url, "/getFiles", fields, version="1.0", token="first")) as stream:
        stream.recv(12)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not is_open(server.url))
        server.process.send_signal(signal.SIGHUP)
        read_all(stream)
    assert server.process.wait(PATIENCE_SECONDS) == 0
    assert "ERROR" not in server.log


def is_open(url: str) -> bool:
    """Whether the server takes connections."""
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port)).close()
    except ConnectionError:
        return False
    return True


def test_a_stream_that_runs(server: Running, files: dict[str, object]) -> None:
    """A stream that began before a reload ends normally, even if its token is not valid any more."""
    fields = [("config_name", "d"), ("files[0]", "large")]
    with closing(open_stream(server.url, "/getFiles", fields, version="1.0", token="first")) as stream:
        start = stream.recv(12)
        write_config(server.config, tokens=["second"], **files)
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: status(server, "second") == 200)
        body = (start + read_all(stream)).partition(b"\r\n\r\n")[2]
    assert body.count(b"\0") >= LARGE
    assert "ended early" not in server.log


def test_a_snapshot_that_is_held(tmp_path: Path, postgresql_url: str) -> None:
    """A run with ``consistent`` continues after a reload with the snapshot that it began with."""
    execute(postgresql_url, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1)")
    offered = {"connections": {"main": postgresql_url}, "tables": {"t": {}}}
    with running(tmp_path, tokens=["first", "second"], **offered) as server, SyncClient(server.url, token="first") as client:
        with client.holding_snapshot(["t"]):
            execute(postgresql_url, "INSERT INTO t VALUES (2)")
            write_config(server.config, tokens=["first"], **offered)
            server.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "The configuration was read again" in server.log)
            assert rows(client) == 1
        assert rows(client) == 2


def rows(client: SyncClient) -> int:
    """Count the rows that the source describes."""
    messages = client.describe_table(DescribeTable(table_slice=RequestedSlice(name="t")))
    return sum(sum(message.counts) for message in messages if isinstance(message, Segments))


def test_a_watched_file(tmp_path: Path, files: dict[str, object]) -> None:
    """With ``--watch``, a changed file is read without a signal; without tokens the server has to stay on loopback."""
    with running(tmp_path, "--watch", **files) as server:
        assert send(server.url, "GET", "/capabilities").status == 200
        write_config(server.config, tokens=["second"], **files)
        wait_until(lambda: send(server.url, "GET", "/capabilities").status == 401)
        assert status(server, "second") == 200
