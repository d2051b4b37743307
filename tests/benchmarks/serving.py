"""How version 1 is served as tables grow."""

from __future__ import annotations

import time
from pathlib import Path
from statistics import median

import requests

from tests.benchmarks.halves import megabytes, server
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.result import Section, compared, limited
from tests.database_servers import MARIADB, DatabaseServers

_PATIENCE = 600
"""Seconds to wait for the next bytes."""


def serving(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Serve 100,000 and 500,000 rows by version 1."""
    few, many = int(100_000 * scale), int(500_000 * scale)
    (base, _), (seconds, note) = (_serve(servers, folder, rows, rounds) for rows in (few, many))
    return Section(
        f"version 1, served from mariadb, made rows, median of {rounds}",
        [
            compared(f"serving {many:,} rows", seconds, f"serving {few:,} rows", base, 5.5, note),
            limited("a row", 1e6 * seconds / many, "microseconds", 10, f"{many / seconds:,.0f} rows a second"),
        ],
    )


def _serve(servers: DatabaseServers, folder: Path, rows: int, rounds: int) -> tuple[float, str]:
    with servers.database(MARIADB, folder) as url:
        MADE_ROWS.fill(url, rows, folder)
        with server(folder, {"connections": {"shop": url}, "tables": {"orders": {}}}) as running:
            fetched = [_fetch(running.url) for _ in range(rounds)]
            note = f"{megabytes(fetched[0][1])} gzip, server at most {megabytes(running.peak_memory())}"
            return median(seconds for seconds, _ in fetched), note


def _fetch(url: str) -> tuple[float, int]:
    started = time.perf_counter()
    with requests.post(f"{url}/getTable", data={"config_name": "orders"}, stream=True, timeout=_PATIENCE) as answer:
        answer.raise_for_status()
        size = sum(len(chunk) for chunk in answer.raw.stream(1 << 16, decode_content=False))
    return time.perf_counter() - started, size
