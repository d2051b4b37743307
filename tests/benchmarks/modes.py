"""Modes of tables beside the mirror: the same few changes, taken by one target of each mode, in turn."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from tests.benchmarks.halves import ClientRun
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.pair import Pair, Work, filled_pair
from tests.benchmarks.result import Line, Section, compared
from tests.database_servers import MARIADB, POSTGRESQL, DatabaseServers

MODES = ("mirror", "history", "soft_delete", "upsert")
TARGETS = {("history", Work.FEW): 1.2}
"""What the design asks for, as shares of the time of the mirror."""


def modes(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Measure each mode with the same changes.

    :param scale: multiplies the 1,000,000 rows
    """
    count = int(1_000_000 * scale)
    lines = [line for engine in (MARIADB, POSTGRESQL) for line in _lines(servers, folder, engine, count, rounds)]
    return Section(f"modes, {MADE_ROWS.about}: {count:,} rows, median of {rounds}", lines)


def _lines(servers: DatabaseServers, folder: Path, engine: str, count: int, rounds: int) -> list[Line]:
    runs: dict[tuple[str, Work], list[ClientRun]] = defaultdict(list)
    with filled_pair(servers, folder, engine, MADE_ROWS, count) as pair:
        for mode in MODES:
            _sync(pair, mode, Work.FIRST)
        for _ in range(rounds):
            for work in (Work.UNCHANGED, Work.FEW):
                pair.prepare(work)
                for mode in MODES:
                    runs[mode, work].append(_sync(pair, mode, work))
                    print(f"  {engine}, {mode}, {work}: {runs[mode, work][-1].seconds:.2f} s", file=sys.stderr)
    return [
        compared(
            f"{engine}: {work}, {mode}",
            median(run.seconds for run in runs[mode, work]),
            "mirror",
            median(run.seconds for run in runs["mirror", work]),
            TARGETS.get((mode, work)),
            f"{runs[mode, work][-1].reports[0]['bytes_received'] / 1e6:.2f} MB",
        )
        for work in (Work.UNCHANGED, Work.FEW)
        for mode in MODES[1:]
    ]


def _sync(pair: Pair, mode: str, work: Work) -> ClientRun:
    return pair.sync(work, {"tables": {pair.rows.table: {"table": f"as_{mode}", "mode": mode, "create_table": True}}})
