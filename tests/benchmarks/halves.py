"""Both halves as processes of their own, so that each one's peak memory can be told."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class ServerProcess:
    """A running ``airflow-sync serve``."""

    url: str
    pid: int

    def peak_memory(self) -> int:
        """Return the most bytes that the process has held so far, or since `forget_peak`."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def cpu_seconds(self) -> float:
        """Return the time that all its threads have been at work."""
        return cpu_seconds(self.pid)

    def bytes_read(self) -> int:
        """Return the bytes that it has read from files so far."""
        return bytes_read(self.pid)

    def forget_peak(self) -> None:
        """Count the peak anew, from what is held now (``man 5 proc``, clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")


def cpu_seconds(pid: int) -> float:
    """Return the time that a process, all its threads and its ended children have been at work (``man 5 proc_pid_stat``)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def bytes_read(pid: int | str) -> int:
    """Return the bytes that a process has read from files, from the page cache too; sockets do not count."""
    return int(Path(f"/proc/{pid}/io").read_text(encoding="ascii").split("rchar:")[1].split()[0])


@contextmanager
def server(
    folder: Path,
    config: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    *,
    module: str = "airflow_provider_sync.cli.main",
) -> Iterator[ServerProcess]:
    """Serve ``config`` on a free port until the end of the block.

    :param environment: variables to set, besides those of this process
    :param module: which is run as ``airflow-sync``
    """
    path = folder / "server.yaml"
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    command = [sys.executable, "-m", module, "serve", "--config", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=_with(environment)) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+", process.stdout.readline())
            if found is None:
                raise RuntimeError("the server did not start")
            yield ServerProcess(found[0].rstrip("."), process.pid)
        finally:
            process.terminate()
            process.wait()


@dataclass(frozen=True)
class ClientRun:
    """What one ``airflow-sync run`` did, and what it cost.

    :ivar peak_memory: most bytes that the process has held
    :ivar process_seconds: from its start to its end
    :ivar command_seconds: from the first line of the command to its last, without the start of Python and the imports
    :ivar cpu_seconds: of the process, with its start
    :ivar bytes_read: from files, without what Python reads at its start
    """

    reports: list[dict[str, Any]]
    peak_memory: int
    process_seconds: float
    command_seconds: float
    cpu_seconds: float
    bytes_read: int

    @property
    def seconds(self) -> float:
        """Return the time of the syncs themselves, without the start of Python."""
        return float(sum(report["seconds"] for report in self.reports))


_MEASURED = """
import json, os, pathlib, sys, time
from airflow_provider_sync.cli import opener, run
from airflow_provider_sync.cli.main import main
from tests.benchmarks.halves import bytes_read
before, started = bytes_read("self"), time.perf_counter()
code = main(sys.argv[1:])
seconds = time.perf_counter() - started
peak = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(json.dumps([int(peak) * 1024, seconds, sum(os.times()[:4]), bytes_read("self") - before]), file=sys.stderr)
sys.exit(code)
"""


def client(folder: Path, config: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> ClientRun:
    """Run the client half once.

    :param environment: variables to set, besides those of this process
    """
    path = folder / "client.yaml"
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    command = [sys.executable, "-c", _MEASURED, "run", "--config", str(path), "--json"]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=_with(environment))
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"the client failed: {done.stderr}")
    peak, command, cpu, read = json.loads(done.stderr.splitlines()[-1])
    return ClientRun(json.loads(done.stdout), peak, seconds, command, cpu, read)


def _with(environment: Mapping[str, str] | None) -> dict[str, str]:
    return {**os.environ, **(environment or {})}


def megabytes(count: int) -> str:
    """Write a number of bytes for people."""
    return f"{count / 1e6:.0f} MB"
