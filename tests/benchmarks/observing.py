"""What access log, audit log and metrics cost: a first sync with all of them, beside one without any."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.benchmarks.halves import client, server
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.result import Section, compared
from tests.database_servers import SQLITE, DatabaseServers

_MODULES = {"with": "airflow_provider_sync.cli.main", "without": "tests.benchmarks.unobserved"}


def observing(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Sync a table for the first time, the server with and without, in turn."""
    rows = int(1_000_000 * scale)
    seconds: dict[str, list[float]] = {name: [] for name in _MODULES}
    cpu: dict[str, list[float]] = {name: [] for name in _MODULES}
    with servers.database(SQLITE, folder) as source:
        MADE_ROWS.fill(source, rows, folder)
        for number in range(rounds):
            for name in _MODULES if number % 2 else reversed(_MODULES):
                with servers.database(SQLITE, folder) as target, TemporaryDirectory(dir=folder) as scratch:
                    MADE_ROWS.create(target)
                    took, busy = _first_sync(source, target, Path(scratch), _MODULES[name])
                    seconds[name].append(took)
                    cpu[name].append(busy)
    return Section(
        f"access log, audit log and metrics, first sync of {rows:,} made rows, SQLite, median of {rounds}",
        [
            compared("first sync", median(seconds["with"]), "without them", median(seconds["without"]), 1.03),
            compared("CPU of the server", median(cpu["with"]), "without them", median(cpu["without"]), 1.03),
        ],
    )


def _first_sync(source: str, target: str, folder: Path, module: str) -> tuple[float, float]:
    config = {
        "connections": {"shop": source},
        "tables": {"orders": {}},
        "audit_log": str(folder / "audit.jsonl"),
        "log": {"file": str(folder / "server.log")},
    }
    with server(folder, config, module=module) as running:
        before = running.cpu_seconds()
        run = client(folder, {"url": running.url, "connections": {"local": target}, "tables": {"orders": {}}})
        return run.seconds, running.cpu_seconds() - before
