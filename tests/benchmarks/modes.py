"""Modes of tables beside the mirror, and a mirror with a trigger: the same few changes, taken by one target of each, in turn."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

from tests.benchmarks.halves import ClientRun
from tests.benchmarks.made_rows import MADE_ROWS
from tests.benchmarks.pair import Pair, Work, filled_pair
from tests.benchmarks.result import Line, Section, compared
from tests.benchmarks.rows import execute, kind
from tests.database_servers import MARIADB, POSTGRESQL, DatabaseServers

AUDITED = "audited"
"""A mirror with a trigger that writes to another table."""

MODES = ("mirror", "history", "soft_delete", "upsert", AUDITED)
_AUDIT = {
    "mysql": (
        "CREATE TABLE changes (id INT)",
        f"CREATE TRIGGER audit AFTER UPDATE ON as_{AUDITED} FOR EACH ROW INSERT INTO changes VALUES (NEW.id)",
    ),
    "postgresql": (
        "CREATE TABLE changes (id INT)",
        "CREATE FUNCTION audit() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO changes VALUES (NEW.id); RETURN NEW; END'",
        f"CREATE TRIGGER audit AFTER UPDATE ON as_{AUDITED} FOR EACH ROW EXECUTE FUNCTION audit()",
    ),
}

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
        execute(pair.target, *_AUDIT[kind(pair.target)])
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
    options = {"table": f"as_{mode}", "mode": "mirror" if mode == AUDITED else mode, "create_table": True}
    return pair.sync(work, {"tables": {pair.rows.table: options}})
