"""What users would run instead: dump and load of each engine."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import sqlalchemy

from tests.benchmarks.made_rows import execute, kind

NAMES = {
    "mysql": "mariadb-dump --single-transaction --quick \\| mariadb",
    "postgresql": "pg_dump --table \\| psql",
    "sqlite": "sqlite3 .dump \\| sqlite3",
}


def dump_and_load(source: str, target: str) -> float:
    """Copy the table ``orders`` as the engine's own tools do; return the seconds, and drop the copy."""
    dump, load = _commands(source, target)
    started = time.perf_counter()
    with subprocess.Popen(dump, stdout=subprocess.PIPE) as dumping:
        subprocess.run(load, stdin=dumping.stdout, stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - started
    execute(target, "DROP TABLE orders")
    return seconds


def scan_with_sha2(url: str) -> float:
    """Hash each row inside a MySQL or MariaDB, in one scan; return the seconds."""
    row = "CONCAT_WS('|', id, LENGTH(code), code, amount, updated_at, LENGTH(note), note, ISNULL(note))"
    started = time.perf_counter()
    execute(url, f"SELECT SUM(CAST(CONV(LEFT(SHA2({row}, 256), 15), 16, 10) AS UNSIGNED)) FROM orders")
    return time.perf_counter() - started


def _commands(source: str, target: str) -> tuple[list[str], list[str]]:
    dump, load = (sqlalchemy.make_url(url) for url in (source, target))
    match kind(source):
        case "mysql":
            login = ["--no-defaults", f"-u{dump.username}", f"-p{dump.password}", "-h127.0.0.1"]
            return (
                ["mariadb-dump", *login, f"-P{dump.port}", "--single-transaction", "--quick", str(dump.database), "orders"],
                ["mariadb", *login, f"-P{load.port}", str(load.database)],
            )
        case "postgresql":
            return (
                [_postgresql("pg_dump"), "--table=orders", _plain(dump)],
                [_postgresql("psql"), "-q", "-v", "ON_ERROR_STOP=1", _plain(load)],
            )
        case _:
            return ["sqlite3", str(dump.database), ".dump orders"], ["sqlite3", str(load.database)]


def _plain(url: sqlalchemy.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _postgresql(program: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{program}"))
    path = str(found[-1]) if found else shutil.which(program)
    if path is None or not os.access(path, os.X_OK):
        raise RuntimeError(f"{program} is not installed")
    return path
