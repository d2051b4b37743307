"""Tables by version 1: how serving grows with the table, and a first sync beside dump and load."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import requests
import sqlalchemy

from tests.benchmarks.halves import client, megabytes, server
from tests.benchmarks.result import Result
from tests.database_servers import MARIADB, DatabaseServers

ROWS = """
CREATE TABLE orders (
  id BIGINT PRIMARY KEY, code VARCHAR(32) NOT NULL, amount DECIMAL(12,2), updated_at DATETIME(6), note TEXT
) CHARACTER SET utf8mb4"""

FILL = """
INSERT INTO orders
SELECT seq, CONCAT('code-', CRC32(seq), '-', seq), ROUND(RAND(seq) * 1000000, 2),
  TIMESTAMPADD(MICROSECOND, seq * 997, '2024-01-01 00:00:00'), CONCAT(SHA1(seq), ' ', LEFT(SHA1(seq + 1), seq MOD 64))
FROM seq_1_to_{rows}"""


def serving(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Serve 100,000 and 500,000 rows by version 1."""
    results: list[Result] = []
    for rows in (int(100_000 * scale), int(500_000 * scale)):
        with servers.database(MARIADB, folder) as url:
            _fill(url, rows)
            with server(folder, {"connections": {"shop": url}, "tables": {"orders": {}}}) as running:
                seconds, size = _fetch(running.url)
                first = results[0].seconds if results else None
                results.append(
                    Result(
                        f"serve {rows:,} rows (version 1, MariaDB)",
                        seconds,
                        f"{int(100_000 * scale):,} rows" if first else "",
                        first,
                        f"{rows / seconds:,.0f} rows/s, {megabytes(size)} gzip, server peak {megabytes(running.peak_memory())}",
                    )
                )
    return results


def first_sync(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Copy 500,000 rows between two MariaDB databases; then again with nothing changed, and with 15 rows changed."""
    rows = int(500_000 * scale)
    results = []
    with servers.database(MARIADB, folder) as source, servers.database(MARIADB, folder) as target:
        _fill(source, rows)
        peer = _dump_and_load(source, target)
        _execute(target, "DROP TABLE orders", ROWS)
        with server(folder, {"connections": {"shop": source}, "tables": {"orders": {}}}) as running:
            config = {"url": running.url, "connections": {"local": target}, "tables": {"orders": {}}}
            for what in ("first sync", "unchanged", "15 rows changed"):
                if what == "15 rows changed":
                    _execute(source, f"UPDATE orders SET amount = amount + 1 WHERE id MOD {rows // 15} = 7")
                done = client(folder, config)
                report = done.reports[0]
                results.append(
                    Result(
                        f"{what}, {rows:,} rows, MariaDB to MariaDB (version 1)",
                        done.seconds,
                        "mariadb-dump --single-transaction --quick \\| mariadb",
                        peer,
                        f"{report['bytes_received'] / 1e6:.1f} MB received, {report['status']}, verified by {report['verified']},"
                        f" peak client {megabytes(done.peak_memory)}, server {megabytes(running.peak_memory())}",
                    )
                )
    return results


def _fill(url: str, rows: int) -> None:
    _execute(url, ROWS, FILL.format(rows=rows), "ANALYZE TABLE orders")


def _execute(url: str, *statements: str) -> None:
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement).close()
    engine.dispose()


def _fetch(url: str) -> tuple[float, int]:
    started = time.perf_counter()
    with requests.post(f"{url}/getTable", data={"config_name": "orders"}, stream=True, timeout=600) as answer:
        answer.raise_for_status()
        size = sum(len(chunk) for chunk in answer.raw.stream(1 << 16, decode_content=False))
    return time.perf_counter() - started, size


def _dump_and_load(source: str, target: str) -> float:
    dump, load = (sqlalchemy.make_url(url) for url in (source, target))
    login = ["--no-defaults", f"-u{dump.username}", f"-p{dump.password}", "-h127.0.0.1", f"-P{dump.port}"]
    started = time.perf_counter()
    with subprocess.Popen(
        ["mariadb-dump", *login, "--single-transaction", "--quick", str(dump.database), "orders"], stdout=subprocess.PIPE
    ) as dumping:
        subprocess.run(["mariadb", *login, str(load.database)], stdin=dumping.stdout, check=True)
    return time.perf_counter() - started
