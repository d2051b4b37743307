"""The other peers: version 1 of our own, reladiff, pt-table-sync and Airflow's GenericTransfer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from importlib.util import find_spec

import sqlalchemy

from tests.benchmarks.pair import Pair, Work
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.programs import plain
from tests.benchmarks.rows import Rows, execute
from tests.database_servers import MARIADB, POSTGRESQL, SQLITE

_PARTS = 5
"""GenericTransfer copies one row of so many: its time grows as the rows do, and its memory with it."""


def _version_1(pair: Pair, work: Work) -> float:
    return pair.sync(work, {"protocol": 1}).seconds


def _reladiff(pair: Pair, work: Work) -> float:
    both = [plain(url) for url in (pair.source, pair.target)]
    output = _program("with_reladiff", *both, pair.rows.table, pair.rows.key, *pair.rows.columns)
    seconds, differences = output.split()
    # It names a changed row twice: as it was, and as it is.
    if (work is Work.UNCHANGED) != (int(differences) == 0):
        raise RuntimeError(f"reladiff found {differences} differences for {work}")
    return float(seconds)


def _no_reladiff(rows: Rows) -> str:
    if find_spec("reladiff") is None:
        return "reladiff is not installed (Python package reladiff, by .ci/setup bench)"
    return "" if rows.key == "id" else "reladiff takes no text of varying length as a key"


def _pt_table_sync(pair: Pair, work: Work) -> float:
    source, target = (sqlalchemy.make_url(url) for url in (pair.source, pair.target))
    command = [
        *("pt-table-sync", "--execute", "--no-check-slave", "--no-check-triggers"),
        f"h=127.0.0.1,P={source.port},u={source.username},p={source.password},D={source.database},t={pair.rows.table}",
        f"P={target.port},D={target.database},t={pair.rows.table}",
    ]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    # 2: there were differences, and they have been resolved.
    if done.returncode != (0 if work is Work.UNCHANGED else 2):
        raise RuntimeError(f"pt-table-sync ended with {done.returncode} for {work}: {done.stderr}")
    return seconds


def _generic_transfer(pair: Pair, work: Work) -> float:
    pair.rows.create(pair.copy)
    connections = {"AIRFLOW_CONN_SOURCE": plain(pair.source), "AIRFLOW_CONN_TARGET": plain(pair.copy)}
    settings = {"AIRFLOW_HOME": str(pair.folder / "airflow"), "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    output = _program("with_generic_transfer", pair.rows.table, str(pair.count // _PARTS), **connections, **settings)
    execute(pair.copy, f"DROP TABLE {pair.rows.table}")
    return float(output.split()[-1]) * _PARTS


def _program(name: str, *arguments: str, **environment: str) -> str:
    command = [sys.executable, "-m", f"tests.benchmarks.peers.{name}", *arguments]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr[-2000:]}")
    return done.stdout


OTHERS = (
    Peer(
        "version 1 (our own)",
        frozenset({MARIADB, POSTGRESQL, SQLITE}),
        frozenset({Work.FIRST, Work.UNCHANGED, Work.FEW}),
        _version_1,
    ),
    Peer(
        f"GenericTransfer, executemany ({_PARTS} times what a {_PARTS}th of the rows took)",
        frozenset({MARIADB, POSTGRESQL}),
        frozenset({Work.FIRST}),
        _generic_transfer,
    ),
    Peer(
        "reladiff (compares only)",
        frozenset({MARIADB, POSTGRESQL}),
        frozenset({Work.UNCHANGED, Work.FEW}),
        _reladiff,
        _no_reladiff,
    ),
    Peer(
        "pt-table-sync",
        frozenset({MARIADB}),
        frozenset({Work.UNCHANGED, Work.FEW, Work.MANY}),
        _pt_table_sync,
        lambda rows: "" if shutil.which("pt-table-sync") else "pt-table-sync is not installed (Debian: percona-toolkit)",
    ),
)
