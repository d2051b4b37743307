"""What Linux says of processes: memory, open files, threads, and who started whom."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Use:
    """What processes hold together.

    :ivar megabytes: of memory; what several processes share is divided among them
    """

    megabytes: float
    files: int
    threads: int


def use_of(pids: Iterable[int]) -> Use:
    """Add up what processes hold; those that have ended meanwhile hold nothing."""
    kilobytes = files = threads = 0
    for pid in pids:
        with suppress(OSError):
            folder = Path(f"/proc/{pid}")
            shared = dict(line.split(":", 1) for line in (folder / "smaps_rollup").read_text().splitlines()[1:])
            kilobytes += int(shared["Pss"].split()[0])
            files += len(list((folder / "fd").iterdir()))
            threads += len(list((folder / "task").iterdir()))
    return Use(kilobytes / 1024, files, threads)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has started and that run, oldest first."""
    found: list[int] = []
    with suppress(OSError):
        for thread in sorted(Path(f"/proc/{pid}/task").iterdir()):
            found += map(int, (thread / "children").read_text().split())
    return found


def family_of(pid: int) -> list[int]:
    """Return a process and all that descend from it."""
    family = [pid]
    for member in family:
        family += children_of(member)
    return family
