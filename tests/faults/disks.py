"""Disks that are full or read-only, with the target's database and files on a small disk of their own."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from airflow_provider_sync.server.process.uvicorn_server import RunningServer
from tests.database_servers import DatabaseServers
from tests.faults.kinds import Kind, Trial, Unavailable
from tests.faults.site import DIFFERENCE, FIRST, site
from tests.faults.states import Violation, check_reports, check_whole
from tests.faults.streams import expect_new_from

SIZE = 16 * 1024**2
_FILLER = "filler"


@contextmanager
def small_disk(path: Path) -> Iterator[None]:
    """Mount a small disk in memory at a folder.

    :raises Unavailable: when this account may not mount
    """
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "sync-faults", str(path)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        raise Unavailable("needs root and mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextmanager
def full_disk(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Leave some room on the target's disk, from none to more than enough."""
    disk = folder / "target"
    with small_disk(disk), site(servers, folder, **options) as made, RunningServer(made.server_config) as server:
        expect_new_from(made, server.url)
        made.reset()

        def trial(chance: random.Random) -> str:
            made.reset()
            free = shutil.disk_usage(disk).free
            left = int(chance.triangular(0, 1_200_000, 0)) // 4096 * 4096
            with (disk / _FILLER).open("wb") as filler:
                filler.write(b"\0" * max(0, free - left))
            try:
                reports = made.sync(server.url)
                found = made.state()
                outcome = check_whole(found, made.old, made.new)
                check_reports(reports, found, made.old, made.new)
                if made.with_files and found.leftovers:
                    raise Violation(f"left behind on a full disk: {', '.join(found.leftovers)}")
            finally:
                (disk / _FILLER).unlink()
            expect_new_from(made, server.url)
            return outcome

        yield trial


@contextmanager
def read_only_disk(servers: DatabaseServers, folder: Path, **options: Any) -> Iterator[Trial]:
    """Make the target's disk read-only before a sync."""
    disk = folder / "target"
    with small_disk(disk), site(servers, folder, **options) as made, RunningServer(made.server_config) as server:

        def trial(chance: random.Random) -> str:
            made.reset()
            made.target.dispose()
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            try:
                reports = made.sync(server.url)
                found = made.state()
            finally:
                made.target.dispose()
                subprocess.run(["mount", "-o", "remount,rw", str(disk)], check=True)
            check_reports(reports, found, made.old, made.new)
            if found != made.old or any(report.status != "failed" for report in reports):
                raise Violation(f"a read-only target: {reports}")
            expect_new_from(made, server.url)
            return "old"

        yield trial


KINDS = [
    *(
        Kind(
            f"full-{what}-{shape}",
            f"the target's disk is full ({what}, {shape})",
            partial(full_disk, what=what, shape=shape),
            200,
        )
        for what in ("tables", "files")
        for shape in (FIRST, DIFFERENCE)
    ),
    *(
        Kind(f"read-only-{what}", f"the target's disk is read-only ({what})", partial(read_only_disk, what=what), 10)
        for what in ("tables", "files")
    ),
]
