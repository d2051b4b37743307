"""What systemd is told, by a socket that stands for systemd's."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from airflow_provider_sync.server.process.systemd import Systemd
from tests.server.process.running import running


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Listen as systemd does."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(60)
        yield manager


def test_a_service_of_systemd(tmp_path: Path, manager: socket.socket) -> None:
    """A service reports in order that it is ready, lives, reloads and stops."""
    environment = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "300000"}
    with running(tmp_path, environment=environment, directories={"d": {"path": str(tmp_path)}}) as server:
        assert manager.recv(100) == b"READY=1"
        assert manager.recv(100) == b"WATCHDOG=1"
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        server.process.send_signal(signal.SIGHUP)
        reloading, _, moment = next_message(manager).partition("\nMONOTONIC_USEC=")
        assert reloading == "RELOADING=1"
        assert before < int(moment) < before + 60_000_000
        assert next_message(manager) == "READY=1"
        assert server.end() == 0
    assert next_message(manager) == "STOPPING=1"


def next_message(manager: socket.socket) -> str:
    """Return the next message that is not a sign of life."""
    while (message := manager.recv(100).decode()) == "WATCHDOG=1":
        pass
    return message


def test_no_systemd(tmp_path: Path) -> None:
    """Without systemd, or if it has ended, no message is sent, and nothing fails."""
    for environment in ({}, {"NOTIFY_SOCKET": str(tmp_path / "gone")}):
        systemd = Systemd(environment)
        systemd.ready()
        systemd.stopping()
        systemd.alive()
        assert systemd.watchdog_seconds is None


@pytest.mark.parametrize(
    ("variables", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_of_another_process(variables: dict[str, str], seconds: float | None) -> None:
    """Only the process that the watchdog is for answers it."""
    assert Systemd(variables).watchdog_seconds == seconds


def test_an_abstract_address() -> None:
    """An address that begins with @ is an abstract socket without a file."""
    name = f"airflow-sync-{os.getpid()}"
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as manager:
        manager.bind(f"\0{name}")
        Systemd({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert manager.recv(100) == b"READY=1"
