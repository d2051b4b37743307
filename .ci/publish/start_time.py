"""How long a server takes to answer that is started from `airflow-sync.pyz`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

_NOTHING_OFFERED = "directories: {here: {path: .}}\n"


def measure_starts(pyz: Path) -> tuple[float, float]:
    """Return the seconds until a server answers: from its first start, which unpacks the file, and from its second."""
    with tempfile.TemporaryDirectory(prefix="airflow-sync-start-") as name:
        folder = Path(name)
        (folder / "server.yaml").write_text(_NOTHING_OFFERED)
        environment = {"PATH": os.defpath, "HOME": name, "PEX_ROOT": str(folder / "unpacked")}
        command = [sys.executable, pyz, "serve", "--config", folder / "server.yaml", "--port", "0"]
        first, second = (_seconds_until_it_answers(command, environment) for _ in range(2))
    return first, second


def _seconds_until_it_answers(command: list[str | Path], environment: Mapping[str, str]) -> float:
    began = time.monotonic()
    with _serving(command, environment) as url, urlopen(f"{url}/health") as answer:  # noqa: S310  # the server that was started here
        answer.read()
        return time.monotonic() - began


@contextmanager
def _serving(command: list[str | Path], environment: Mapping[str, str]) -> Iterator[str]:
    with subprocess.Popen(list(map(str, command)), env=dict(environment), stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None  # noqa: S101  # for mypy
        try:
            yield server.stdout.readline().split()[-1]
        finally:
            server.terminate()
