"""Both halves as processes of their own, so that each one's peak memory can be told."""

from __future__ import annotations

import json
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

    def forget_peak(self) -> None:
        """Count the peak anew, from what is held now (``man 5 proc``, clear_refs)."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5", encoding="ascii")


@contextmanager
def server(folder: Path, config: Mapping[str, Any]) -> Iterator[ServerProcess]:
    """Serve ``config`` on a free port until the end of the block."""
    path = folder / "server.yaml"
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "serve", "--config", str(path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
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
    """What one ``airflow-sync run`` did: its reports, and the most memory that it held."""

    reports: list[dict[str, Any]]
    peak_memory: int
    process_seconds: float

    @property
    def seconds(self) -> float:
        """Return the time of the syncs themselves, without the start of Python."""
        return float(sum(report["seconds"] for report in self.reports))


_MEASURED = """
import pathlib, sys
from airflow_provider_sync.cli.main import main
code = main(sys.argv[1:])
peak = pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
print(peak, file=sys.stderr)
sys.exit(code)
"""


def client(folder: Path, config: Mapping[str, Any]) -> ClientRun:
    """Run the client half once."""
    path = folder / "client.yaml"
    path.write_text(yaml.safe_dump(dict(config)), encoding="utf-8")
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", _MEASURED, "run", "--config", str(path), "--json"], capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - started
    if done.returncode:
        raise RuntimeError(f"the client failed: {done.stderr}")
    return ClientRun(json.loads(done.stdout), int(done.stderr.split()[-1]) * 1024, seconds)


def megabytes(count: int) -> str:
    """Write a number of bytes for people."""
    return f"{count / 1e6:.0f} MB"
