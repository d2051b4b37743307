"""Directories by version 1, beside rsync from a daemon on the same machine."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from tests.benchmarks.halves import ClientRun, client, megabytes, server
from tests.benchmarks.result import Section, compared
from tests.database_servers import DatabaseServers


def first_and_unchanged(servers: DatabaseServers, folder: Path, scale: float, rounds: int) -> Section:
    """Copy 10,000 files of 4 to 64 KB in 200 folders, then once more with nothing changed; each time into new folders."""
    count = int(10_000 * scale)
    source = folder / "source"
    _make_tree(source, count)
    runs: dict[str, list[ClientRun]] = defaultdict(list)
    theirs: dict[str, list[float]] = defaultdict(list)
    with _rsync_daemon(folder, source) as address, server(folder, {"directories": {"tree": {"path": str(source)}}}) as running:
        for number in range(rounds):
            targets = {"tree": {"path": str(folder / f"by-sync-{number}")}}
            config = {"url": running.url, "files_per_request": 500, "directories": targets}
            for work, option in (("first sync", "--fsync"), ("unchanged", "--archive")):
                theirs[work].append(_rsync(option, address, f"{folder}/by-rsync-{number}/"))
                runs[work].append(client(folder, config))
        memory = running.peak_memory()
    lines = []
    for work, peer, target in (("first sync", "rsync -a --fsync, daemon", 1.0), ("unchanged", "rsync -a, daemon", 1.5)):
        last = runs[work][-1]
        note = f"{last.reports[0]['bytes_received'] / 1e6:.1f} MB received; client {megabytes(last.peak_memory)}"
        lines.append(compared(work, median(run.seconds for run in runs[work]), peer, median(theirs[work]), target, note))
    title = f"files of 4 to 64 KB: {count:,}, median of {rounds} (server half: at most {megabytes(memory)})"
    return Section(title, lines)


def _rsync(option: str, address: str, target: str) -> float:
    started = time.perf_counter()
    subprocess.run(["rsync", "--archive", option, address, target], check=True)
    return time.perf_counter() - started


def _make_tree(root: Path, count: int) -> None:
    chance = random.Random(7)
    for number in range(count):
        path = root / f"folder-{number % 200:03}" / f"file-{number:05}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(4_096, 65_536)))


@contextmanager
def _rsync_daemon(folder: Path, source: Path) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = folder / "rsyncd.conf"
    config.write_text(f"use chroot = no\n[tree]\npath = {source}\nread only = yes\n", encoding="utf-8")
    command = ["rsync", "--daemon", "--no-detach", "--address=127.0.0.1", f"--port={port}", f"--config={config}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as daemon:
        try:
            _wait_for(port)
            yield f"rsync://127.0.0.1:{port}/tree/"
        finally:
            daemon.terminate()


def _wait_for(port: int) -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the rsync daemon did not start")
