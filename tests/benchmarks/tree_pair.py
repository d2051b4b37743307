"""Both of our halves for one directory, each with a cache that nothing was in before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airflow_provider_sync.config import TargetDirectory
from tests.benchmarks.cost import Cost
from tests.benchmarks.halves import ClientRun, ServerProcess, client, server

FILES_PER_REQUEST = 500
"""Of version 1, for which ten, the default, are few."""


@dataclass(frozen=True)
class TreePair:
    """A server half that offers one directory, and the target that our client half keeps equal to it.

    :ivar target: path or URL
    :ivar environment: variables for the client
    :ivar runs: what the client did until now
    """

    server: ServerProcess
    folder: Path
    target: str
    environment: Mapping[str, str]
    runs: list[ClientRun] = field(default_factory=list)

    def sync(self, status: str = "changed", **options: Any) -> Cost:
        """Run our client half once.

        :param status: which the report must have
        :param options: those of the directory
        :raises RuntimeError: when it did not do what the work asks for
        """
        directory = {"path": self.target, **options}
        config = {"url": self.server.url, "files_per_request": FILES_PER_REQUEST, "directories": {"tree": directory}}
        cpu, read = self.server.cpu_seconds(), self.server.bytes_read()
        run = client(self.folder, config, self.environment)
        report = run.reports[0]
        if report["status"] != status:
            raise RuntimeError(f"The client should have reported {status!r}: {report}")
        self.runs.append(run)
        return Cost(
            seconds=run.seconds,
            cpu=run.cpu_seconds + self.server.cpu_seconds() - cpu,
            wire=report["bytes_received"] + report["bytes_sent"],
            read=run.bytes_read + self.server.bytes_read() - read,
            process=run.process_seconds,
        )

    @property
    def report(self) -> Mapping[str, Any]:
        """Return the report of the last run."""
        return self.runs[-1].reports[0]


@contextmanager
def tree_pair(folder: Path, source: str, target: str, environment: Mapping[str, str] | None = None) -> Iterator[TreePair]:
    """Serve a directory until the end of the block.

    :param folder: a new one, for configuration and caches
    :param source: path or URL
    :param environment: variables for both halves
    """
    folder.mkdir()
    caches = [{**(environment or {}), "XDG_CACHE_HOME": str(folder / half)} for half in ("server", "client")]
    with server(folder, {"directories": {"tree": {"path": source}}}, caches[0]) as running:
        yield TreePair(running, folder, target, caches[1])


def is_option(name: str) -> bool:
    """Whether a directory has this option; the benchmark also measures commits from before it had."""
    return name in TargetDirectory.model_fields
