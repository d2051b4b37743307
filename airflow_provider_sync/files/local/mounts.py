"""Find the file system of a directory, what it cannot store, and mount points."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_FAT = frozenset({"msdos", "vfat"})
_WITHOUT_PERMISSIONS = _FAT | {"exfat"}
_FAT_STEP_NS = 2_000_000_000
# Escapes of spaces, tabs, line ends and backslashes in the list of mounts.
_ESCAPED = re.compile(r"\\([0-7]{3})")

MOUNTS = Path("/proc/self/mountinfo")


class _Mount(NamedTuple):
    device: str
    place: str
    kind: str


def time_step_ns(root: Path) -> int:
    """Return the resolution, in nanoseconds, of times of modification below ``root``: two seconds on FAT, else 1.

    A time shows by itself that decimals are missing, but not that only even seconds can be stored.
    """
    return _FAT_STEP_NS if _kind_of(root) in _FAT else 1


def keeps_permissions(root: Path) -> bool:
    """Whether files below ``root`` have permissions of their own: on FAT and exFAT those of the mount are all there is."""
    return _kind_of(root) not in _WITHOUT_PERMISSIONS


def is_mount_point(path: Path) -> bool:
    """Whether a directory is a mount point, so that it cannot be removed."""
    place = str(path)
    return any(mount.place == place for mount in _mounts()) or path.is_mount()


def _kind_of(root: Path) -> str | None:
    """Return the kind of the file system of a directory, or of the nearest one above it that is there."""
    with suppress(OSError):
        while not root.exists() and root != root.parent:
            root = root.parent
        device = root.stat().st_dev
        wanted = f"{os.major(device)}:{os.minor(device)}"
        for mount in _mounts():
            if mount.device == wanted:
                return mount.kind
    return None


def _mounts() -> Iterator[_Mount]:
    """Yield all mounts; nothing on systems other than Linux, which have no such list."""
    with suppress(OSError):
        for line in MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
            # `proc_pid_mountinfo(5)`: the device is the third field, the mount point the fifth, and the type follows a hyphen.
            mount, _, file_system = line.partition(" - ")
            fields = mount.split(" ")
            place = _ESCAPED.sub(lambda found: chr(int(found[1], 8)), fields[4])
            yield _Mount(fields[2], place, file_system.split(" ")[0])
