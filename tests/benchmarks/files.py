"""Directories of many small files, beside rsync from a daemon on the same machine."""

from __future__ import annotations

import random
import subprocess
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.benchmarks.cost import Cost, amount, in_turn, medians, side_by_side, wait_until_old
from tests.benchmarks.halves import megabytes
from tests.benchmarks.result import Line, Section, limited
from tests.benchmarks.rsync import RsyncDaemon, rsync_daemon
from tests.benchmarks.tree_pair import TreePair, is_option, tree_pair
from tests.database_servers import DatabaseServers

FIRST, NOT_DURABLE, UNCHANGED, CHANGED = "first sync", "first sync, durable: false", "unchanged", "1 % changed, 0.1 % deleted"

_PEERS = {
    FIRST: ("rsync -a --fsync", ["--fsync"], 0.5),
    NOT_DURABLE: ("rsync -a", [], 1.0),
    UNCHANGED: ("rsync -a", [], 1.0),
    CHANGED: ("rsync -a --delete", ["--delete"], 1.5),
}
"""What each work is measured against, with which options, and the target of the ratio."""

_MAX_UNCHANGED_KB = 1.0


class _Costs:
    """What each work cost, ours and theirs, a figure for each round."""

    def __init__(self) -> None:
        self.ours: dict[str, list[Cost]] = defaultdict(list)
        self.theirs: dict[str, list[Cost]] = defaultdict(list)
        self.memory = [0, 0]

    def ours_did(self, work: str, pair: TreePair, status: str = "changed", **options: bool) -> None:
        self.ours[work].append(pair.sync(status, **options))
        self.memory = [max(self.memory[0], pair.runs[-1].peak_memory), max(self.memory[1], pair.server.peak_memory())]

    def theirs_did(self, work: str, daemon: RsyncDaemon, target: Path) -> None:
        self.theirs[work].append(daemon.copy(target, *_PEERS[work][1]))


def many_small_files(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Copy 10,000 files of 4 to 64 KB in 200 folders, copy them again unchanged, and again with 100 changed and 10 deleted.

    Each round into new folders, which stay until the end: on ext4, files are slow to make right after as many were deleted.
    """
    source = folder / "source"
    paths = _make_tree(source, int(10_000 * scale))
    wait_until_old(paths[-1])
    costs = _Costs()
    with rsync_daemon(folder, source) as daemon:
        for number in range(rounds):
            _round(costs, daemon, source, paths, folder, number)
    lines = [
        side_by_side(work, costs.ours[work], f"{peer}, daemon", costs.theirs[work], at_most)
        for work, (peer, _, at_most) in _PEERS.items()
        if work in costs.ours
    ]
    lines.insert(-1, _wire_of_unchanged(costs.ours[UNCHANGED]))
    client, server = map(megabytes, costs.memory)
    title = f"files of 4 to 64 KB on {file_system(folder)}: {len(paths):,}, median of {rounds} (memory at most: client {client},"
    left_out = () if NOT_DURABLE in costs.ours else (f"{NOT_DURABLE}: there is no such option yet.",)
    return Section(f"{title} server {server})", lines, left_out)


def _round(costs: _Costs, daemon: RsyncDaemon, source: Path, paths: Sequence[Path], folder: Path, number: int) -> None:
    ours, theirs = folder / f"by-sync-{number}", folder / f"by-rsync-{number}"
    with tree_pair(folder / f"halves-{number}", str(source), str(ours)) as pair:
        in_turn(number, partial(costs.ours_did, FIRST, pair), partial(costs.theirs_did, FIRST, daemon, theirs))
        _wait_for_all_of(ours)
        in_turn(
            number,
            partial(costs.ours_did, UNCHANGED, pair, "unchanged"),
            partial(costs.theirs_did, UNCHANGED, daemon, theirs),
        )
        _change(paths, number)
        in_turn(number, partial(costs.ours_did, CHANGED, pair), partial(costs.theirs_did, CHANGED, daemon, theirs))
    if is_option("durable"):
        ours, theirs = folder / f"by-sync-{number}-b", folder / f"by-rsync-{number}-b"
        with tree_pair(folder / f"halves-{number}-b", str(source), str(ours)) as pair:
            not_durable = partial(costs.ours_did, NOT_DURABLE, pair, durable=False)
            in_turn(number, not_durable, partial(costs.theirs_did, NOT_DURABLE, daemon, theirs))


def _wire_of_unchanged(ours: Sequence[Cost]) -> Line:
    cost = medians(ours)
    read = "" if cost.read is None else f"{amount(cost.read)} read from files, by both halves"
    return limited(f"{UNCHANGED}: on the wire", cost.wire / 1e3, "KB", _MAX_UNCHANGED_KB, read)


def _make_tree(root: Path, count: int) -> list[Path]:
    chance = random.Random(7)
    paths = []
    for number in range(count):
        path = root / f"folder-{number % 200:03}" / f"file-{number:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(4_096, 65_536)))
        paths.append(path)
    return paths


def _wait_for_all_of(tree: Path) -> None:
    """Wait until the files that were written last are old enough; a second run in the same second is not what is measured."""
    wait_until_old(max(tree.iterdir(), key=lambda path: path.stat().st_ctime))


def _change(paths: Sequence[Path], number: int) -> None:
    """Write one file in a hundred anew and delete one in a thousand, in each round others."""
    chance = random.Random(number)
    for path in paths[10 * number + 5 :: 1000]:
        path.unlink()
    changed = paths[10 * number :: 100]
    for path in changed:
        path.write_bytes(chance.randbytes(path.stat().st_size))
    wait_until_old(changed[-1])


def file_system(folder: Path) -> str:
    """Name the file system that a folder is on."""
    command = ["findmnt", "--noheadings", "--output", "FSTYPE", "--target", str(folder)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
