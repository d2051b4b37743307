"""Many small tables that are unchanged, over lines of several lengths: what counts is how often client and server talk."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from typing import Any

from tests.benchmarks.halves import ClientRun, client, server
from tests.benchmarks.latency import slow_line
from tests.benchmarks.result import Line, Section, limited
from tests.benchmarks.rows import execute
from tests.database_servers import MARIADB, POSTGRESQL, SQLITE, DatabaseServers

TABLES = 50
ROWS = (0, 1, 20, 200, 1000)
"""Rows of the tables, in turn."""

TARGETS = {0.0: None, 0.05: None, 0.1: 1.5}
"""Seconds that the design allows, by the round trip in seconds."""


def small_tables(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Compare :data:`TABLES` tables on each engine.

    :param scale: multiplies the tables
    """
    count = max(2, int(TABLES * scale))
    lines = [line for engine in (POSTGRESQL, MARIADB, SQLITE) for line in _lines(servers, folder, engine, count, rounds)]
    return Section(f"{count} unchanged tables of 0 to {max(ROWS)} rows, median of {rounds}", lines)


def _lines(servers: DatabaseServers, folder: Path, engine: str, count: int, rounds: int) -> list[Line]:
    names = [f"small_{number:03}" for number in range(count)]
    tables: dict[str, dict[str, Any]] = {name: {} for name in names}
    lines = []
    with servers.database(engine, folder) as source, servers.database(engine, folder) as target:
        for url in (source, target):
            execute(url, *(statement for number, name in enumerate(names) for statement in _made(name, ROWS[number % len(ROWS)])))
        with server(folder, {"connections": {"shop": source}, "tables": tables}) as running:
            for round_trip, at_most in TARGETS.items():
                with slow_line(running.url, round_trip) as url:
                    config = {"url": url, "connections": {"local": target}, "tables": tables}
                    runs = [client(folder, config) for _ in range(rounds)]
                lines.append(_line(engine, round_trip, at_most, runs))
                print(f"  {engine}, {1000 * round_trip:.0f} ms: {lines[-1].figure}", file=sys.stderr)
    return lines


def _line(engine: str, round_trip: float, at_most: float | None, runs: list[ClientRun]) -> Line:
    reports = runs[-1].reports
    if any(report["status"] != "unchanged" for report in reports):
        raise RuntimeError(f"the client reported {reports}")
    requests = sum(report["requests"] for report in reports)
    work = f"{engine}, round trip {1000 * round_trip:.0f} ms"
    note = f"{requests} requests; CPU {median(run.cpu_seconds for run in runs):.2f} s with the start of Python"
    seconds = median(run.command_seconds for run in runs)
    if at_most is None:
        return Line(work, f"{seconds:.2f} s", seconds, note=note)
    return limited(work, seconds, "s", at_most, note)


def _made(name: str, rows: int) -> list[str]:
    made = [f"CREATE TABLE {name} (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(40) NOT NULL, price DECIMAL(10, 2))"]
    if rows:
        values = ", ".join(f"({number}, 'row {number} of {name}', {number}.50)" for number in range(1, rows + 1))
        made.append(f"INSERT INTO {name} VALUES {values}")
    return made
