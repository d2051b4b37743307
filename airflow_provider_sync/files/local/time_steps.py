"""How exactly a file system keeps times, where the times themselves do not show it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_FAT = frozenset({"msdos", "vfat"})
_FAT_STEP_NS = 2_000_000_000

MOUNTS = Path("/proc/self/mountinfo")


def time_step_ns(root: Path) -> int:
    """Return the steps, in nanoseconds, in which times of files below ``root`` are kept: two seconds on FAT, else 1.

    Fewer decimals are seen in the times themselves; whether a second is even is not.
    """
    with suppress(OSError):  # Only Linux has the list.
        while not root.exists() and root != root.parent:
            root = root.parent
        device = root.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for line in MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines():
            # `proc_pid_mountinfo(5)`: device is the third field, and the type comes after a hyphen.
            mount, _, file_system = line.partition(" - ")
            if mount.split(" ")[2] == wanted and file_system.split(" ")[0] in _FAT:
                return _FAT_STEP_NS
    return 1
