"""Tables: version 1 as it grows, and version 2 beside dump and load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.benchmarks.halves import ServerProcess, client, megabytes, server
from tests.benchmarks.made_rows import TEXT_KEY, create, execute, fill, kind
from tests.benchmarks.peers import NAMES, dump_and_load, scan_with_sha2
from tests.benchmarks.result import Result
from tests.database_servers import MARIADB, POSTGRESQL, SQLITE, DatabaseServers

CHANGES = (
    ("unchanged", ""),
    ("15 rows changed", "UPDATE orders SET amount = amount + 1 WHERE id % {step} = 7"),
    ("10,000 rows changed, scattered", "UPDATE orders SET amount = amount + 1 WHERE id % {hundred} = 3"),
)


def serving(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Serve 100,000 and 500,000 rows by version 1."""
    results: list[Result] = []
    for rows in (int(100_000 * scale), int(500_000 * scale)):
        with servers.database(MARIADB, folder) as url:
            fill(url, rows)
            with server(folder, {"connections": {"shop": url}, "tables": {"orders": {}}}) as running:
                seconds, size = _fetch(running.url)
                first = results[0].seconds if results else None
                results.append(
                    Result(
                        f"version 1: serving {rows:,} rows (MariaDB)",
                        seconds,
                        f"serving {int(100_000 * scale):,}" if first else "",
                        first,
                        f"{rows / seconds:,.0f} rows/s, {megabytes(size)} gzip, server peak {megabytes(running.peak_memory())}",
                    )
                )
    return results


def version_1(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Sync 500,000 rows between two MariaDB databases by version 1."""
    with _pair(servers, folder, MARIADB, int(500_000 * scale)) as pair:
        return pair.run("version 1", {"protocol": 1})


def mariadb(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Sync 1,000,000 rows between two MariaDB databases by version 2."""
    with _pair(servers, folder, MARIADB, int(1_000_000 * scale)) as pair:
        results = pair.run("MariaDB", {})
        results.append(
            Result("MariaDB: unchanged, both halves", pair.unchanged, "one scan with SHA2", scan_with_sha2(pair.source))
        )
        return results


def mariadb_text_key(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """The same with a text as the primary key."""
    with _pair(servers, folder, MARIADB, int(1_000_000 * scale), text_key=True) as pair:
        return pair.run("MariaDB, text key", {})[:3]


def postgresql(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Sync 1,000,000 rows between two PostgreSQL databases by version 2."""
    with _pair(servers, folder, POSTGRESQL, int(1_000_000 * scale)) as pair:
        return pair.run("PostgreSQL", {})


def sqlite(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Sync 1,000,000 rows between two SQLite databases by version 2."""
    with _pair(servers, folder, SQLITE, int(1_000_000 * scale)) as pair:
        return pair.run("SQLite", {})


def memory(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """First sync and one change of 1,000,000 and of 10,000,000 rows: the peak memory of both halves."""
    results: list[Result] = []
    for rows in (int(1_000_000 * scale), int(10_000_000 * scale)):
        with _pair(servers, folder, MARIADB, rows, with_peer=False) as pair:
            results += pair.run(f"memory, {rows:,} rows", {})[:3]
    return results


class _Pair:
    """Two databases of one engine, the source filled, the target empty."""

    def __init__(self, folder: Path, running: ServerProcess, source: str, target: str, rows: int, peer: float | None) -> None:
        self.folder = folder
        self.running = running
        self.source = source
        self.target = target
        self.rows = rows
        self.peer = peer
        self.unchanged = 0.0

    def run(self, about: str, options: dict[str, Any]) -> list[Result]:
        """Sync first, unchanged, and after changes."""
        results = []
        steps = {"step": max(1, self.rows // 15), "hundred": max(1, self.rows // 10_000)}
        for what, change in (("first sync", ""), *CHANGES):
            if change:
                execute(self.source, change.format(**steps))
            config = {"url": self.running.url, "connections": {"local": self.target}, "tables": {"orders": {}}, **options}
            done = client(self.folder, config)
            report = done.reports[0]
            if what == "unchanged":
                self.unchanged = done.seconds
            results.append(
                Result(
                    f"{about}: {what}",
                    done.seconds,
                    NAMES[kind(self.source)] if self.peer else "",
                    self.peer,
                    f"{self.rows:,} rows, {report['status']}, {report['verified']}; {report['bytes_received'] / 1e6:.2f} MB in"
                    f" {report['requests']} requests; peak {megabytes(done.peak_memory)} client,"
                    f" {megabytes(self.running.peak_memory())} server",
                )
            )
        return results


@contextmanager
def _pair(
    servers: DatabaseServers, folder: Path, engine: str, rows: int, *, text_key: bool = False, with_peer: bool = True
) -> Iterator[_Pair]:
    with ExitStack() as stack:
        source, target = (stack.enter_context(servers.database(engine, folder)) for _ in range(2))
        fill(source, rows)
        if text_key:
            execute(source, TEXT_KEY[kind(source)])
        peer = dump_and_load(source, target) if with_peer else None
        create(target)
        if text_key:
            execute(target, TEXT_KEY[kind(target)])
        running = stack.enter_context(server(folder, {"connections": {"shop": source}, "tables": {"orders": {}}}))
        yield _Pair(folder, running, source, target, rows, peer)


def _fetch(url: str) -> tuple[float, int]:
    started = time.perf_counter()
    with requests.post(f"{url}/getTable", data={"config_name": "orders"}, stream=True, timeout=600) as answer:
        answer.raise_for_status()
        size = sum(len(chunk) for chunk in answer.raw.stream(1 << 16, decode_content=False))
    return time.perf_counter() - started, size
