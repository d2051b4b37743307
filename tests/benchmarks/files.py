"""Directories by version 1, beside rsync from a daemon on the same machine."""

from __future__ import annotations

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.halves import client, megabytes, server
from tests.benchmarks.result import Result
from tests.database_servers import DatabaseServers


def first_and_unchanged(servers: DatabaseServers, folder: Path, scale: float) -> list[Result]:
    """Copy 2,000 files of 4 to 64 KB in 40 folders, then once more with nothing changed."""
    count = int(2_000 * scale)
    source = folder / "source"
    _make_tree(source, count)
    results = []
    with _rsync_daemon(folder, source) as address, server(folder, {"directories": {"tree": {"path": str(source)}}}) as running:
        config = {
            "url": running.url,
            "files_per_request": 500,
            "directories": {"tree": {"path": str(folder / "by-sync")}},
        }
        for what in ("first sync", "unchanged"):
            started = time.perf_counter()
            subprocess.run(
                ["rsync", "-a", *(["--fsync"] if what == "first sync" else []), address, f"{folder}/by-rsync/"], check=True
            )
            peer = time.perf_counter() - started
            done = client(folder, config)
            results.append(
                Result(
                    f"{what}, {count:,} files",
                    done.seconds,
                    "rsync -a --fsync, daemon" if what == "first sync" else "rsync -a, daemon",
                    peer,
                    f"{done.reports[0]['bytes_received'] / 1e6:.1f} MB received,"
                    f" peak client {megabytes(done.peak_memory)}, server {megabytes(running.peak_memory())}",
                )
            )
    return results


def _make_tree(root: Path, count: int) -> None:
    chance = random.Random(7)
    for number in range(count):
        path = root / f"folder-{number % 40:02}" / f"file-{number:05}.bin"
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
