"""rsync from a daemon on the same machine: what a user would run instead for directories."""

from __future__ import annotations

import re
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.cost import Cost
from tests.benchmarks.halves import cpu_seconds


@dataclass(frozen=True)
class RsyncDaemon:
    """A running daemon that offers one directory.

    :ivar address: URL of the directory
    """

    address: str
    pid: int

    def copy(self, target: Path, *options: str) -> Cost:
        """Bring a target up to date by ``rsync -a`` and further options."""
        before = self._cpu()
        command = ["rsync", "--archive", "--stats", "--no-human-readable", *options, self.address, f"{target}/"]
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        sent, received = (int(re.findall(rf"Total bytes {way}: (\d+)", done.stdout)[0]) for way in ("sent", "received"))
        return Cost(seconds, self._cpu() - before, sent + received, None, seconds)

    def _cpu(self) -> float:
        """Return the seconds at work of the daemon, of the processes that it made, and of all programs that ended here."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        while children.read_text(encoding="ascii").strip():
            time.sleep(0.01)
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        return cpu_seconds(self.pid) + ended.ru_utime + ended.ru_stime


@contextmanager
def rsync_daemon(folder: Path, source: Path) -> Iterator[RsyncDaemon]:
    """Offer ``source`` until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "rsyncd.conf"
    config.write_text(f"use chroot = no\n[tree]\npath = {source}\nread only = yes\n", encoding="utf-8")
    command = ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={config}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        try:
            _wait_for(port)
            yield RsyncDaemon(f"rsync://127.0.0.1:{port}/tree/", daemon.pid)
        finally:
            daemon.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the rsync daemon did not start")
