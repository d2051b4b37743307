"""What a server asks of its machine: open files. Its addresses are tested with the server that listens on them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.server.process.running import running


@pytest.fixture
def hard() -> Iterator[int]:
    """Let this process, and those that it starts, open few files; they may raise that to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_open_files(hard: int, tmp_path: Path) -> None:
    """A server raises its limit of open files as needed; if it cannot, one line of the log says what to do."""
    with running(tmp_path, limits={"requests": 3, "connections": 10}) as server:
        assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (320, hard)
        assert server.log == ""
    with running(tmp_path, limits={"requests": 1_000_000}) as server:
        assert resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE) == (hard, hard)
        assert server.log.count("\n") == 1
        assert f"limits.connections may need 70000612 open files, and the system allows {hard}. Raise that" in server.log
