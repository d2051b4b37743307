"""Tables by version 2: each work in interleaved rounds with its peers, compared by medians."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.halves import ClientRun, megabytes
from tests.benchmarks.pair import Pair, Work, filled_pair
from tests.benchmarks.peers.dump_and_load import NAMES, dump_and_load
from tests.benchmarks.peers.others import OTHERS
from tests.benchmarks.peers.peer import Peer
from tests.benchmarks.result import Line, Section, compared, limited
from tests.benchmarks.rows import Rows, execute, kind
from tests.database_servers import MARIADB, POSTGRESQL, SQLITE, DatabaseServers

Targets = dict[Work, float]

TARGETS: dict[str, Targets] = {
    MARIADB: {Work.CREATED: 0.75, Work.FIRST: 0.75, Work.UNCHANGED: 0.2, Work.FEW: 0.22, Work.MANY: 0.6},
    POSTGRESQL: {Work.CREATED: 1.5, Work.FIRST: 1.5, Work.UNCHANGED: 0.8},
    SQLITE: {Work.CREATED: 0.8, Work.FIRST: 0.8},
}
"""What the design asks for, as shares of the time of dump and load."""

TEXT_KEY_TARGETS: Targets = {Work.FEW: 0.33}


def measure(
    servers: DatabaseServers, folder: Path, scale: float, rounds: int, *, engine: str, rows: Rows, targets: Targets
) -> Section:
    """Do every work with ours and with every peer, ``rounds`` times over.

    :param scale: multiplies the 1,000,000 rows
    """
    peers = [peer for peer in OTHERS if engine in peer.engines]
    present = [peer for peer in peers if not peer.missing(rows)]
    took = _Took()
    with filled_pair(servers, folder, engine, rows, int(1_000_000 * scale)) as pair:
        for _ in range(rounds):
            _round(pair, present, took)
        memory = pair.server.peak_memory()
    title = f"{engine}, {rows.about}: {pair.count:,} rows, median of {rounds} (server half: at most {megabytes(memory)})"
    lines = _lines(took, NAMES[kind(pair.source)], targets)
    return Section(title, lines, [peer.missing(rows) for peer in peers if peer not in present])


@dataclass
class _Took:
    """What each round measured: our runs, and the seconds of others."""

    ours: dict[Work, list[ClientRun]] = field(default_factory=lambda: defaultdict(list))
    theirs: dict[tuple[Work, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    dumps: list[float] = field(default_factory=list)
    scans: list[float] = field(default_factory=list)


def _round(pair: Pair, peers: Sequence[Peer], took: _Took) -> None:
    """Do each work once with everybody, ours last, so that the target follows the source again."""
    took.dumps.append(dump_and_load(pair))
    if pair.engine == MARIADB:
        took.scans.append(_scan_with_sha2(pair))
    for work in Work:
        for peer in peers:
            if work in peer.works:
                pair.prepare(work)
                took.theirs[work, peer.name].append(peer.run(pair, work))
                print(f"  {work}: {took.theirs[work, peer.name][-1]:.2f} s by {peer.name}", file=sys.stderr)
        pair.prepare(work)
        took.ours[work].append(pair.sync(work, {}))
        print(f"  {work}: {took.ours[work][-1].seconds:.2f} s", file=sys.stderr)


def _lines(took: _Took, dump: str, targets: Targets) -> list[Line]:
    lines = []
    dumps = median(took.dumps)
    for work, runs in took.ours.items():
        seconds = median(run.seconds for run in runs)
        lines.append(compared(work, seconds, dump, dumps, targets.get(work), _note(runs[-1])))
        lines += [compared(work, seconds, peer, median(its)) for (done, peer), its in took.theirs.items() if done is work]
    if took.scans:
        seconds = median(run.seconds for run in took.ours[Work.UNCHANGED])
        lines += _limits({work: runs[-1].reports[0] for work, runs in took.ours.items()})
        lines.append(compared("check, both halves", seconds, "one scan in the database with SHA2", median(took.scans), 1.5))
    return lines


def _note(run: ClientRun) -> str:
    report = run.reports[0]
    return (
        f"{report['verified']}, {report['bytes_received'] / 1e6:.2f} MB in {report['requests']} requests;"
        f" client {megabytes(run.peak_memory)}, {run.process_seconds - run.seconds:.1f} s more to start"
    )


def _limits(reports: dict[Work, dict[str, float]]) -> list[Line]:
    few, many, full = reports[Work.FEW], reports[Work.MANY], reports[Work.FIRST]
    received, whole = many["bytes_received"] / 1e6, full["bytes_received"] / 1e6
    return [
        limited(f"{Work.FEW}: both ways", (few["bytes_received"] + few["bytes_sent"]) / 1000, "KB", 150),
        limited(f"{Work.FEW}: requests", few["requests"], "requests", 6),
        Line(
            f"{Work.MANY}: received",
            f"{received:.2f} MB",
            received / whole,
            "the same of a full transfer",
            f"{whole:.2f} MB",
            0.2,
        ),
    ]


def _scan_with_sha2(pair: Pair) -> float:
    """Hash each row inside a MariaDB, in one scan and one session; return the seconds."""
    row = ", ".join(f"COALESCE({column}, '')" for column in (pair.rows.key, *pair.rows.columns))
    digest = f"CAST(CONV(LEFT(SHA2(CONCAT_WS('|', {row}), 256), 15), 16, 10) AS UNSIGNED)"
    started = time.perf_counter()
    execute(pair.source, f"SELECT SUM({digest}) FROM {pair.rows.table}")
    return time.perf_counter() - started
