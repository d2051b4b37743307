"""``airflow-sync serve`` as a process, for tests of what only a process has: signals, files that change, children."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import yaml

PATIENCE_SECONDS = 60.0


class Running:
    """A server that runs.

    :ivar config: its configuration
    """

    def __init__(self, process: subprocess.Popen[str], url: str, config: Path, log: Path) -> None:
        self.process = process
        self.url = url
        self.config = config
        self._log = log

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text()

    @property
    def workers(self) -> list[int]:
        """The processes that it has started."""
        return [int(text) for text in Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()]

    def end(self) -> int:
        """Tell it to stop, and return its exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE_SECONDS)


def write_config(path: Path, **options: object) -> Path:
    """Write a configuration in one step."""
    new = path.with_suffix(".new")
    new.write_text(yaml.safe_dump(options))
    new.replace(path)
    return path


@contextmanager
def running(folder: Path, *arguments: str, environment: Mapping[str, str] | None = None, **options: object) -> Iterator[Running]:
    """Run ``airflow-sync serve`` with a configuration, until the end of the block."""
    config, log = write_config(folder / "server.yaml", **options), folder / "server.log"
    command = [sys.executable, "-m", "airflow_provider_sync.cli.main", "serve", "--config", str(config), "--port", "0"]
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [*command, *arguments], stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **(environment or {})}
        ) as process,
    ):
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("Serving at http"), log.read_text()
            yield Running(process, line.split()[-1], config, log)
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def wait_until(holds: Callable[[], object]) -> None:
    """Wait until something holds that another process or thread brings about; asking without a pause would keep it from that."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.02)


def shown_certificate(url: str, authority: Path, certificate: Path | None = None) -> bytes:
    """Connect over TLS, have ``/health`` answered, and return the certificate that the server shows."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate is not None:
        context.load_cert_chain(certificate)
    connection = HTTPSConnection(urlsplit(url).netloc, context=context, timeout=60)
    try:
        connection.request("GET", "/health")
        assert connection.getresponse().status == 200
        shown = connection.sock.getpeercert(binary_form=True)
    finally:
        connection.close()
    return shown or b""
