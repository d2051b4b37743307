"""Forks of this process that die, at a chosen step or when told."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any, Self

from sqlalchemy import make_url

from airflow_provider_sync.server.process.serving import serve
from tests.faults.site import Site
from tests.faults.states import Violation

_DATABASE = ("execute", "executemany", "exec_driver_sql", "query", "begin", "commit", "rollback", "connect", "copy")
_DISK = (
    "open",
    "write",
    "flush",
    "fsync",
    "fdatasync",
    "close",
    "replace",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "flock",
)

_NETWORK = ("send", "sendall", "recv_into")
_SYNC = ("prepare_session", "create", "load", "list_changes", "delete", "verify", "clear", "drop")
STEPS = frozenset((*_DATABASE, *_DISK, *_NETWORK, *_SYNC))
"""Functions, in Python and in C, before and after which a process may end: whatever reaches a database, a disk or a peer."""

KILL_SECONDS = 120
"""After so long a child that should have ended is a failure."""


class Fuse:
    """Counts the steps of a process, and acts at one of them.

    :param at: which step; 0 only counts
    :param action: what to do there
    """

    def __init__(self, at: int, action: Callable[[], None]) -> None:
        self.count = 0
        self._at, self._action = at, action

    def light(self) -> None:
        """Watch this thread and those that it starts."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)

    def _profile(self, frame: FrameType, event: str, argument: Any) -> None:
        name = argument.__name__ if event.startswith("c_") else frame.f_code.co_name
        if name not in STEPS:
            return
        self.count += 1
        if self.count == self._at:
            sys.setprofile(None)
            self._action()


def forked(work: Callable[[], int]) -> int:
    """Start a process that does ``work`` and ends with its result as exit code; return its number."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        code = work()
    except BaseException:  # noqa: BLE001  # the child must end here, whatever happens
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int, seconds: float = KILL_SECONDS) -> int:
    """Wait for a process, and return its exit code, negative for a signal."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise Violation(f"the process did not end within {seconds} seconds")


class ForkedServer:
    """The server half in a process of its own, for the length of a ``with`` block.

    :param at: step at which it kills itself; 0 never
    """

    def __init__(self, made: Site, *, port: int = 0, at: int = 0) -> None:
        reading, writing = os.pipe()

        def work() -> int:
            os.close(reading)
            fuse = Fuse(at, die)

            def on_ready(url: str) -> None:
                os.write(writing, url.encode())
                os.close(writing)
                if at:
                    fuse.light()

            serve(made.server_config, port=port, on_ready=on_ready)
            return 0

        self.process = forked(work)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.url = pipe.read()
        if not self.url:
            raise Violation("the server did not start")
        self.port = make_url(self.url).port or 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End it at once, if it did not do so itself."""
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)


def die() -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)
