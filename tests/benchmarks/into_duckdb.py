"""The first copy of a PostgreSQL table into a DuckDB file: the local copy that people analyse."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from tests.benchmarks.halves import ClientRun, client, megabytes
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.pair import filled_pair
from tests.benchmarks.peers.dump_and_load import NAMES, dump_and_load
from tests.benchmarks.result import Section, compared
from tests.database_servers import POSTGRESQL, DatabaseServers

TARGET = 1.0
"""Most of the time of dump and load between two databases of PostgreSQL that the design allows."""


def into_duckdb(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Copy the table into a new file, and compare it again unchanged.

    :param scale: multiplies the 1,000,000 rows
    """
    dumps: list[float] = []
    copies: list[ClientRun] = []
    unchanged: list[ClientRun] = []
    with filled_pair(servers, folder, POSTGRESQL, MADE_ROWS, int(1_000_000 * scale)) as pair:
        for number in range(rounds):
            dumps.append(dump_and_load(pair))
            config = {
                "url": pair.server.url,
                "connections": {"local": f"duckdb:///{folder / f'{number}.duckdb'}"},
                "tables": {MADE_ROWS.table: {"create_table": True}},
            }
            copies.append(_run(folder, config, "changed"))
            unchanged.append(_run(folder, config, "unchanged"))
            print(f"  {dumps[-1]:.2f} s dumped, {copies[-1].seconds:.2f} s, {unchanged[-1].seconds:.2f} s", file=sys.stderr)
    peer, whole = NAMES["postgresql"], median(dumps)
    report = copies[-1].reports[0]
    note = f"{report['verified']}, {report['bytes_received'] / 1e6:.2f} MB; client {megabytes(copies[-1].peak_memory)}"
    lines = [
        compared("first copy", median(run.seconds for run in copies), peer, whole, TARGET, note),
        compared("unchanged", median(run.seconds for run in unchanged), peer, whole),
    ]
    return Section(f"postgresql into duckdb, {MADE_ROWS.about}: {pair.count:,} rows, median of {rounds}", lines)


def _run(folder: Path, config: dict[str, object], status: str) -> ClientRun:
    run = client(folder, config)
    if run.reports[0]["status"] != status:
        raise RuntimeError(f"the client reported {run.reports[0]}")
    return run
