"""Dump and load by each engine's own tools: what every work is compared with."""

from __future__ import annotations

import subprocess
import time

import sqlalchemy

from tests.benchmarks.pair import Pair
from tests.benchmarks.programs import mariadb, plain, postgresql, psql
from tests.benchmarks.rows import execute, kind

NAMES = {
    "mysql": "mariadb-dump --single-transaction --quick \\| mariadb",
    "postgresql": "pg_dump --table \\| psql",
    "sqlite": "sqlite3 .dump \\| sqlite3",
}


def dump_and_load(pair: Pair) -> float:
    """Copy the table; return the seconds, and drop the copy."""
    dump, load = _commands(pair)
    started = time.perf_counter()
    with subprocess.Popen(dump, stdout=subprocess.PIPE) as dumping:
        subprocess.run(load, stdin=dumping.stdout, stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - started
    execute(pair.copy, f"DROP TABLE {pair.rows.table}")
    return seconds


def _commands(pair: Pair) -> tuple[list[str], list[str]]:
    table = pair.rows.table
    match kind(pair.source):
        case "mysql":
            dump = [*mariadb(pair.source, "mariadb-dump"), table, "--single-transaction", "--quick"]
            return dump, mariadb(pair.copy)
        case "postgresql":
            return [postgresql("pg_dump"), f"--table={table}", plain(pair.source)], psql(pair.copy)
        case _:
            source, copy = (str(sqlalchemy.make_url(url).database) for url in (pair.source, pair.copy))
            return ["sqlite3", source, f".dump {table}"], ["sqlite3", copy]
