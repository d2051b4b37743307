"""A whole database that is unchanged: tables of all sizes with foreign keys between them, in one task."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median
from time import perf_counter

import sqlalchemy

from tests.benchmarks.halves import ClientRun, client, server
from tests.benchmarks.latency import slow_line
from tests.benchmarks.result import Line, Section, compared, limited
from tests.benchmarks.rows import execute, kind
from tests.database_servers import MARIADB, POSTGRESQL, DatabaseServers

TABLES = 200
ROWS = (0, 1, 40, 300, 1_000, 3_000, 8_000, 20_000, 1, 100_000)
"""Rows of the tables, in turn: 2,600,000 in all."""

AGAINST_SCAN = 1.3
"""Most of the time of one scan of all tables that the design allows."""

ROUND_TRIP, AT_MOST_MORE = 0.05, 1.0
"""A line of this round trip, and the seconds that it may cost, both in seconds."""

_CREATE = (
    "CREATE TABLE {table} (id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(60) NOT NULL, price DECIMAL(10, 2), changed {moment},"
    " parent INTEGER{references})"
)
_FILL = {
    "mysql": "INSERT INTO {table} SELECT seq, CONCAT('row ', seq, ' ', SHA1(seq)), seq MOD 10000 + 0.25,"
    " TIMESTAMPADD(SECOND, seq, '2024-01-01'), {parent} FROM seq_1_to_{rows}",
    "postgresql": "INSERT INTO {table} SELECT seq, 'row ' || seq || ' ' || md5(seq::text), seq % 10000 + 0.25,"
    " '2024-01-01'::timestamp + seq * interval '1 second', {parent} FROM generate_series(1, {rows}) AS seq",
}
_SCAN = {
    "mysql": "SELECT SUM(CAST(CONV(LEFT(SHA2(CONCAT_WS('|', id, name, price, changed, parent), 256), 15), 16, 10) AS UNSIGNED))"
    " FROM {table}",
    "postgresql": "SELECT sum(('x' || encode(substr(sha256(convert_to(concat_ws('|', id, name, price, changed, parent), 'UTF8')),"
    " 1, 8), 'hex'))::bit(60)::bigint) FROM {table}",
}
"""The sum of a digest of each row, as plainly as the database can."""


def whole_database(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Compare :data:`TABLES` tables on each engine, named by a pattern.

    :param scale: multiplies the tables
    """
    count = max(len(ROWS), int(TABLES * scale))
    lines = [line for engine in (POSTGRESQL, MARIADB) for line in _lines(servers, folder, engine, count, rounds)]
    return Section(f"{count} unchanged tables of 0 to {max(ROWS):,} rows, median of {rounds}", lines)


def _lines(servers: DatabaseServers, folder: Path, engine: str, count: int, rounds: int) -> list[Line]:
    sizes = {f"shop_{number:03}": ROWS[number % len(ROWS)] for number in range(count)}
    scans: list[float] = []
    near: list[ClientRun] = []
    far: list[ClientRun] = []
    with servers.database(engine, folder) as source, servers.database(engine, folder) as target:
        for url in (source, target):
            execute(url, *_statements(url, sizes))
        config = {"connections": {"local": target}, "tables": "*"}
        with (
            server(folder, {"connections": {"shop": source}, "tables": {"*": {}}}) as running,
            slow_line(running.url, ROUND_TRIP) as slow,
        ):
            for _ in range(rounds):
                scans.append(_scan(source, sizes))
                near.append(_run(folder, {"url": running.url, **config}, count))
                far.append(_run(folder, {"url": slow, **config}, count))
                times = f"{scans[-1]:.2f} s scanned, {near[-1].command_seconds:.2f} s, {far[-1].command_seconds:.2f} s"
                print(f"  {engine}: {times} over a slow line", file=sys.stderr)
    took = median(run.command_seconds for run in near)
    requests = sum(report["requests"] for report in near[-1].reports)
    note = f"{requests} requests; CPU {median(run.cpu_seconds for run in near):.2f} s with the start of Python"
    more = median(run.command_seconds for run in far) - took
    return [
        compared(engine, took, "a scan with SHA-256 of all tables", median(scans), AGAINST_SCAN, note),
        limited(f"{engine}, {1000 * ROUND_TRIP:.0f} ms of round trip, more than without", max(more, 0.0), "s", AT_MOST_MORE),
    ]


def _run(folder: Path, config: dict[str, object], count: int) -> ClientRun:
    run = client(folder, config)
    found = [report["status"] for report in run.reports]
    if found != ["unchanged"] * count:
        raise RuntimeError(f"the client reported {run.reports}")
    return run


def _statements(url: str, sizes: dict[str, int]) -> list[str]:
    """Return what makes and fills the tables; each refers to the one before, as a shop's items to its orders."""
    speaks, statements, before = kind(url), [], ""
    for table, rows in sizes.items():
        references = f", FOREIGN KEY (parent) REFERENCES {before} (id)" if before else ""
        moment = "DATETIME(6)" if speaks == "mysql" else "TIMESTAMP(6)"
        statements.append(_CREATE.format(table=table, moment=moment, references=references))
        parent = f"seq % {sizes[before]} + 1" if before and sizes[before] else "NULL"
        if rows:
            statements.append(_FILL[speaks].format(table=table, rows=rows, parent=parent))
        before = table
    settle = {"mysql": "ANALYZE TABLE {}", "postgresql": "VACUUM ANALYZE {}"}[speaks]
    return [*statements, *(settle.format(table) for table in sizes)]


def _scan(url: str, sizes: dict[str, int]) -> float:
    """Hash each row inside the database, table after table; return the seconds."""
    parsed = sqlalchemy.make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    engine = sqlalchemy.create_engine(parsed)
    with engine.connect() as connection:
        begun = perf_counter()
        for table in sizes:
            connection.exec_driver_sql(_SCAN[kind(url)].format(table=table)).all()
        seconds = perf_counter() - begun
    engine.dispose()
    return seconds
