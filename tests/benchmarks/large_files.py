"""One large file: its first copy, unchanged, and with a little changed inside; and the memory that it takes."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.cost import Cost, in_turn, medians, side_by_side, wait_until_old
from tests.benchmarks.files import file_system
from tests.benchmarks.halves import megabytes
from tests.benchmarks.result import Line, Section, compared, limited
from tests.benchmarks.rsync import RsyncDaemon, rsync_daemon
from tests.benchmarks.tree_pair import TreePair, tree_pair
from tests.database_servers import DatabaseServers

FIRST, UNCHANGED, CHANGED = "first sync", "unchanged", "1 MB changed, 100 bytes inserted near the start"
CHANGED_AGAIN = "the same again: the target knows its chunks"

_TARGETS = {FIRST: 1.2, UNCHANGED: 1.5, CHANGED: 0.6, CHANGED_AGAIN: None}
_PEERS = {True: ("rsync -a --fsync", ["--fsync"]), False: ("rsync -a", [])}
"""What is measured against, and with which options: where ours is durable, rsync waits for the disk, too."""

_MAX_CHANGED_MB = 2.0
_MAX_READ = 0.05
"""Share of the file, for "nothing read": what a program reads of itself counts too."""

_FLAT = 1.1
_MIB = 1 << 20
_GIB = 1 << 30


def one_large_file(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Copy 1 GiB, copy it again unchanged, and twice with a little changed; each round into new folders, durable and not."""
    size = int(_GIB * scale)
    source = _make_source(folder, size)
    costs: dict[tuple[str, bool], tuple[list[Cost], list[Cost]]] = defaultdict(lambda: ([], []))
    disk: list[float] = []
    memory = [0, 0]
    with rsync_daemon(folder, source.parent) as daemon:
        for number in range(rounds):
            disk.append(_seconds_of_disk(source, folder / "by-dd"))
            with ExitStack() as stack:
                sides = [stack.enter_context(_sides(folder, number, source, daemon, durable)) for durable in _PEERS]
                for work in _TARGETS:
                    if work in (CHANGED, CHANGED_AGAIN):
                        _change(source, 2 * number + (work is CHANGED_AGAIN))
                    for side in sides:
                        side.do(work, number, *costs[work, side.durable])
                for side in sides:
                    client = max(run.peak_memory for run in side.pair.runs)
                    memory = [max(memory[0], client), max(memory[1], side.pair.server.peak_memory())]
    lines = [
        side_by_side(_titled(work, durable), *_named(costs[work, durable], f"{_PEERS[durable][0]}, daemon"), at_most)
        for durable in _PEERS
        for work, at_most in _TARGETS.items()
    ]
    first = medians(costs[FIRST, True][0])
    lines.insert(1, compared(_titled(FIRST, durable=True), first.seconds, "the disk: dd conv=fsync", median(disk)))
    read = medians(costs[UNCHANGED, True][0]).read or 0
    lines.append(limited(f"{UNCHANGED}: read by both halves", read / size, "of the file", _MAX_READ))
    lines.append(limited("changed: on the wire", medians(costs[CHANGED, True][0]).wire / 1e6, "MB", _MAX_CHANGED_MB))
    client, server = map(megabytes, memory)
    title = f"one file of {size / _GIB:g} GiB on {file_system(folder)}, median of {rounds}"
    return Section(f"{title} (memory at most: client {client}, server {server})", lines)


def _titled(work: str, durable: bool) -> str:
    return work if durable else f"{work}, durable: false"


def _named(costs: tuple[list[Cost], list[Cost]], peer: str) -> tuple[list[Cost], str, list[Cost]]:
    return costs[0], peer, costs[1]


@dataclass(frozen=True)
class _Sides:
    """Two new copies, ours and that of rsync, both durable or both not."""

    durable: bool
    pair: TreePair
    daemon: RsyncDaemon
    name: str
    their_target: Path

    def do(self, work: str, number: int, ours: list[Cost], theirs: list[Cost]) -> None:
        """Do a work by both, and note what it cost."""
        status = "unchanged" if work is UNCHANGED else "changed"

        def ours_did() -> None:
            ours.append(self.pair.sync(status, durable=self.durable))

        def theirs_did() -> None:
            theirs.append(self.daemon.copy(self.their_target, *_PEERS[self.durable][1]))

        in_turn(number, ours_did, theirs_did)
        wait_until_old(Path(self.pair.target) / self.name)


@contextmanager
def _sides(folder: Path, number: int, source: Path, daemon: RsyncDaemon, durable: bool) -> Iterator[_Sides]:
    name = f"{number}-{'durable' if durable else 'not-durable'}"
    our_target, their_target = folder / f"by-sync-{name}", folder / f"by-rsync-{name}"
    with tree_pair(folder / f"halves-{name}", str(source.parent), str(our_target)) as pair:
        yield _Sides(durable, pair, daemon, source.name, their_target)
    for target in (our_target, their_target):
        shutil.rmtree(target)


def _seconds_of_disk(source: Path, copy: Path) -> float:
    """Return how long the disk takes at least: to read a file from memory and write it, until it is on the disk."""
    os.sync()
    began = time.perf_counter()
    subprocess.run(["dd", f"if={source}", f"of={copy}", "bs=1M", "conv=fsync", "status=none"], check=True)
    seconds = time.perf_counter() - began
    copy.unlink()
    return seconds


def memory_of_10_gib(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Sync a file of 1 GiB and one of 10 GiB, first and with a little changed; needs room for two of the latter."""
    small, large = int(_GIB * scale), int(10 * _GIB * scale)
    before, after = _peaks(folder / "small", small), _peaks(folder / "large", large)
    lines = [
        Line(half, megabytes(peak), peak / before[half][0], f"{small / _GIB:g} GiB", megabytes(before[half][0]), _FLAT, took)
        for half, (peak, took) in after.items()
    ]
    return Section(f"peak memory, one file of {large / _GIB:g} GiB", lines)


def _peaks(folder: Path, size: int) -> dict[str, tuple[int, str]]:
    """Return the bytes that each half held at most, and how long the sync took."""
    folder.mkdir()
    source, target = _make_source(folder, size), folder / "target"
    peaks: dict[str, tuple[int, str]] = {}
    try:
        with tree_pair(folder / "halves", str(source.parent), str(target)) as pair:
            for work in (FIRST, CHANGED):
                if work is CHANGED:
                    _change(source, 0)
                pair.server.forget_peak()
                cost = pair.sync()
                took = f"the sync took {cost.seconds:.1f} s; {cost.note()}"
                peaks[f"{work}, client half"] = pair.runs[-1].peak_memory, took
                peaks[f"{work}, server half"] = pair.server.peak_memory(), took
    finally:
        shutil.rmtree(folder)
    return peaks


def _make_source(folder: Path, size: int) -> Path:
    """Write random bytes; return the file's path."""
    path = folder / "source" / "disk.img"
    path.parent.mkdir()
    chance = random.Random(7)
    with path.open("wb") as file:
        for start in range(0, size, _MIB):
            file.write(chance.randbytes(min(_MIB, size - start)))
    wait_until_old(path)
    return path


def _change(path: Path, number: int) -> None:
    """Insert 100 bytes behind the first MiB, and change 1 MB in the middle."""
    chance = random.Random(number)
    middle = path.stat().st_size // 2
    new = path.parent.with_name("new.img")
    with path.open("rb") as old, new.open("wb") as file:
        file.write(old.read(_MIB))
        file.write(chance.randbytes(100))
        while old.tell() < middle:
            file.write(old.read(_MIB))
        file.write(chance.randbytes(1_000_000))
        old.seek(1_000_000, os.SEEK_CUR)
        shutil.copyfileobj(old, file, _MIB)
    new.replace(path)
    wait_until_old(path)
