"""One large file: its first copy, unchanged, and with a little changed inside; and the memory that it takes."""

from __future__ import annotations

import os
import random
import shutil
from collections import defaultdict
from functools import partial
from pathlib import Path

from tests.benchmarks.cost import Cost, in_turn, medians, side_by_side, wait_until_old
from tests.benchmarks.files import file_system
from tests.benchmarks.halves import megabytes
from tests.benchmarks.result import Line, Section, limited
from tests.benchmarks.rsync import RsyncDaemon, rsync_daemon
from tests.benchmarks.tree_pair import TreePair, tree_pair
from tests.database_servers import DatabaseServers

FIRST, UNCHANGED, CHANGED = "first sync", "unchanged", "1 MB changed, 100 bytes inserted near the start"
CHANGED_AGAIN = "the same again: the target knows its chunks"

_TARGETS = {FIRST: 1.2, UNCHANGED: 1.5, CHANGED: 0.6, CHANGED_AGAIN: None}
_MAX_CHANGED_MB = 2.0
_MAX_READ = 0.05
"""Share of the file, for "nothing read": what a program reads of itself counts too."""

_FLAT = 1.1
_MIB = 1 << 20
_GIB = 1 << 30


def one_large_file(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Copy 1 GiB, copy it again unchanged, and twice with a little changed; each round into new folders."""
    size = int(_GIB * scale)
    source = _make_source(folder, size)
    ours: dict[str, list[Cost]] = defaultdict(list)
    theirs: dict[str, list[Cost]] = defaultdict(list)

    def ours_did(work: str, pair: TreePair) -> None:
        ours[work].append(pair.sync("unchanged" if work is UNCHANGED else "changed"))

    def theirs_did(work: str, daemon: RsyncDaemon, target: Path) -> None:
        theirs[work].append(daemon.copy(target))

    memory = 0, 0
    with rsync_daemon(folder, source.parent) as daemon:
        for number in range(rounds):
            our_target, their_target = folder / f"by-sync-{number}", folder / f"by-rsync-{number}"
            with tree_pair(folder / f"halves-{number}", str(source.parent), str(our_target)) as pair:
                for work in _TARGETS:
                    if work in (CHANGED, CHANGED_AGAIN):
                        _change(source, 2 * number + (work is CHANGED_AGAIN))
                    in_turn(number, partial(ours_did, work, pair), partial(theirs_did, work, daemon, their_target))
                    wait_until_old(our_target / source.name)
                memory = max(memory[0], *(run.peak_memory for run in pair.runs)), max(memory[1], pair.server.peak_memory())
            for target in (our_target, their_target):
                shutil.rmtree(target)
    lines = [side_by_side(work, ours[work], "rsync -a, daemon", theirs[work], at_most) for work, at_most in _TARGETS.items()]
    read = medians(ours[UNCHANGED]).read or 0
    lines.insert(2, limited(f"{UNCHANGED}: read by both halves", read / size, "of the file", _MAX_READ))
    lines.append(limited("changed: on the wire", medians(ours[CHANGED]).wire / 1e6, "MB", _MAX_CHANGED_MB))
    client, server = map(megabytes, memory)
    title = f"one file of {size / _GIB:g} GiB on {file_system(folder)}, median of {rounds}"
    return Section(f"{title} (memory at most: client {client}, server {server})", lines)


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
