"""The benchmark: what a sync costs, beside what a user would run instead, in one run on one machine.

Every half runs in a process of its own, so that its peak memory can be told. Ratios are what counts; seconds are this
machine's. Run it by ``make bench``.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.benchmarks.airflow_cost import airflow_cost
from tests.benchmarks.crowd import crowd
from tests.benchmarks.files import many_small_files
from tests.benchmarks.flights import FLIGHTS
from tests.benchmarks.into_duckdb import into_duckdb
from tests.benchmarks.large_files import memory_of_10_gib, one_large_file
from tests.benchmarks.made_rows import MADE_ROWS, MADE_ROWS_BY_CODE
from tests.benchmarks.memory import memory
from tests.benchmarks.million_files import a_million_files
from tests.benchmarks.modes import modes
from tests.benchmarks.object_files import unchanged_objects
from tests.benchmarks.observing import observing
from tests.benchmarks.result import Section, show
from tests.benchmarks.rows import Rows
from tests.benchmarks.servers import BenchmarkServers
from tests.benchmarks.serving import serving
from tests.benchmarks.small_tables import small_tables
from tests.benchmarks.tables import TARGETS, TEXT_KEY_TARGETS, Targets, measure
from tests.benchmarks.whole_database import whole_database
from tests.database_servers import MARIADB, POSTGRESQL, SQLITE, DatabaseServers, ServerMissing

Measure = Callable[[DatabaseServers, Path, float, int], Section]


def _tables(engine: str, rows: Rows, targets: Targets) -> Measure:
    return partial(measure, engine=engine, rows=rows, targets=targets)


SECTIONS: dict[str, Measure] = {
    "serving": serving,
    "crowd": crowd,
    "mariadb": _tables(MARIADB, MADE_ROWS, TARGETS[MARIADB]),
    "mariadb-flights": _tables(MARIADB, FLIGHTS, TARGETS[MARIADB]),
    "mariadb-text-key": _tables(MARIADB, MADE_ROWS_BY_CODE, TEXT_KEY_TARGETS),
    "postgresql": _tables(POSTGRESQL, MADE_ROWS, TARGETS[POSTGRESQL]),
    "postgresql-flights": _tables(POSTGRESQL, FLIGHTS, TARGETS[POSTGRESQL]),
    "sqlite": _tables(SQLITE, MADE_ROWS, TARGETS[SQLITE]),
    "sqlite-flights": _tables(SQLITE, FLIGHTS, TARGETS[SQLITE]),
    "duckdb": into_duckdb,
    "small-tables": small_tables,
    "whole-database": whole_database,
    "modes": modes,
    "observing": observing,
    "files": many_small_files,
    "files-large": one_large_file,
    "airflow": airflow_cost,
}

LONG: dict[str, Measure] = {
    "memory": memory,
    "files-million": a_million_files,
    "files-10gib": memory_of_10_gib,
    "files-objects": unchanged_objects,
}
"""Run only when named."""


def main() -> None:
    """Run the chosen sections, then print one table for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        choices=[[], *SECTIONS, *LONG],
        help=f"which parts (default: all but the long ones: {', '.join(LONG)})",
    )
    parser.add_argument("--scale", type=float, default=1.0, help="multiply rows and files by this")
    parser.add_argument("--rounds", type=int, default=3, help="do each work so many times, ours and theirs in turn")
    options = parser.parse_args()
    tables: list[str] = []
    servers = BenchmarkServers()
    try:
        for name in options.sections or SECTIONS:
            started = time.perf_counter()
            with tempfile.TemporaryDirectory(prefix="sync-bench-") as folder:
                try:
                    section = {**SECTIONS, **LONG}[name](servers, Path(folder), options.scale, options.rounds)
                except ServerMissing as exc:
                    section = Section(name, [], [str(exc)])
            tables.append(show(section))
            print(f"{name}: measured in {time.perf_counter() - started:.0f} s", file=sys.stderr)
    finally:
        servers.stop()
    if options.scale != 1:
        tables.insert(0, f"Measured at {options.scale:g} of the size that the targets are for.\n")
    print("\n\n".join(tables))


if __name__ == "__main__":
    main()
