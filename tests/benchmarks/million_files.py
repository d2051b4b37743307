"""A tree of a million small files, unchanged: time and memory beside those of a tenth of it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.benchmarks.cost import Cost, wait_until_old
from tests.benchmarks.halves import megabytes
from tests.benchmarks.result import Line, Section, compared
from tests.benchmarks.tree_pair import tree_pair
from tests.database_servers import DatabaseServers

_FILES_PER_FOLDER = 1_000
_LINEAR = 11.0
_LIMIT = 200e6


def a_million_files(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Compare 100,000 and 1,000,000 equal files, after a run that has read them all (needs two million inodes and 9 GB)."""
    few, many = int(100_000 * scale), int(1_000_000 * scale)
    base, _ = _compare(folder / "few", few, rounds)
    cost, peaks = _compare(folder / "many", many, rounds)
    lines = [compared("unchanged", cost.seconds, f"{few:,} files", base.seconds, _LINEAR, cost.note())]
    lines += [
        Line(half, megabytes(peak), peak / _LIMIT, "a limit", megabytes(int(_LIMIT)), 1, "first comparison included")
        for half, peak in peaks.items()
    ]
    return Section(f"{many:,} files of 16 bytes, unchanged: {1e6 * cost.seconds / many:.0f} microseconds a file", lines)


def _compare(folder: Path, count: int, rounds: int) -> tuple[Cost, dict[str, int]]:
    """Return what the fastest comparison cost, and the bytes that each half held at most."""
    folder.mkdir()
    source, target = folder / "source", folder / "target"
    _make_equal_trees(source, target, count)
    try:
        with tree_pair(folder / "halves", str(source), str(target)) as pair:
            # The caches are empty: the first run reads all files.
            pair.sync("unchanged")
            costs = [pair.sync("unchanged") for _ in range(rounds)]
            peaks = {"client half": max(run.peak_memory for run in pair.runs), "server half": pair.server.peak_memory()}
        return min(costs, key=lambda cost: cost.seconds), peaks
    finally:
        shutil.rmtree(folder)


def _make_equal_trees(source: Path, target: Path, count: int) -> None:
    """Write the same files twice, with the same times."""
    for number in range(0, count, _FILES_PER_FOLDER):
        for root in (source, target):
            parent = root / f"folder-{number // _FILES_PER_FOLDER:04}"
            parent.mkdir(parents=True)
            for position in range(number, min(number + _FILES_PER_FOLDER, count)):
                path = parent / f"file-{position:07}"
                path.write_bytes(b"%016d" % position)
                os.utime(path, (1.7e9, 1.7e9))
    os.sync()
    wait_until_old(target)
