"""Make tree entries from the status (stat) of files on a local disk."""

from __future__ import annotations

import os
import struct
import time

from airflow_provider_sync.files.tree import TreeEntry

PERMISSION_BITS = 0o777
"""The bits of a file's mode that are listed: never set-user-ID, set-group-ID or the sticky bit."""

_NO_PERMISSIONS = 0o1000
"""The mode of a file that has none of these bits, as 0 is that of a storage without permissions. No sync sets the sticky bit."""

EPOCH_NS = 1
"""The time of a file of 1970-01-01 00:00:00, since 0 is that of a storage without times."""

# Kernels stamp files by a clock that ticks every 1 to 10 ms; file systems that keep whole seconds, or pairs of them, show it.
_FINE_NS = 100_000_000
_COARSE_NS = 2_100_000_000
_SECOND_NS = 1_000_000_000
_EARLIEST_NS, _LATEST_NS = -(2**63), 2**63 - 1

# Times of modification and of the inode's change, inode, device.
_pack_version = struct.Struct("<qqQQ").pack
_TIME_BYTES = 8


class RacyTimes:
    """Decide whether a file is racy, as git calls it: it may change again without a trace in its times.

    A write sets the times of modification and of the inode's change to the present. It leaves no trace only where both were
    within one tick of the clock, so the older of the two decides.

    :param seen_ns: when files are looked at, or earlier; nanoseconds since the epoch
    """

    def __init__(self, seen_ns: int) -> None:
        self.coarse = seen_ns - _COARSE_NS
        self._fine = seen_ns - _FINE_NS

    @classmethod
    def now(cls) -> RacyTimes:
        """Return what decides about files that are looked at from now on."""
        return cls(time.time_ns())

    def is_racy(self, changed_ns: int) -> bool:
        """Whether a file whose older time is ``changed_ns`` is racy."""
        return changed_ns > self.coarse and (changed_ns > self._fine or changed_ns % _SECOND_NS == 0)


def entry_of_file(path: str, status: os.stat_result, racy_times: RacyTimes) -> TreeEntry:
    """Return the entry of a regular file.

    :param racy_times: made before ``status`` was taken
    """
    mtime_ns = status.st_mtime_ns
    ctime_ns = status.st_ctime_ns
    inode = status.st_ino
    device = status.st_dev
    try:
        version = _pack_version(mtime_ns, ctime_ns, inode, device)
    except struct.error:
        # Some file systems know times after the year 2262, which neither the wire nor SQLite can hold.
        mtime_ns, ctime_ns = _held(mtime_ns), _held(ctime_ns)
        version = _pack_version(mtime_ns, ctime_ns, inode, device)
    changed_ns = ctime_ns if ctime_ns < mtime_ns else mtime_ns
    return TreeEntry(
        path,
        "file",
        status.st_size,
        mtime_ns or EPOCH_NS,
        status.st_mode & PERMISSION_BITS or _NO_PERMISSIONS,
        version,
        changed_ns,
        None,
        (device, inode) if status.st_nlink > 1 else None,
        None,
        changed_ns > racy_times.coarse and racy_times.is_racy(changed_ns),
    )


def is_same_content(one: TreeEntry, other: TreeEntry) -> bool:
    """Whether two entries are of one file whose content was not written in between, though its number of names may have changed.

    A new or removed hard link sets the time of the inode's change, and with it the version. A write also sets the time of
    modification; so this is only for those who know why the other time changed.
    """
    return (one.size, one.version[:_TIME_BYTES], one.version[2 * _TIME_BYTES :]) == (
        other.size,
        other.version[:_TIME_BYTES],
        other.version[2 * _TIME_BYTES :],
    )


def entry_of_directory(path: str, status: os.stat_result) -> TreeEntry:
    """Return the entry of a directory. It has no version: what it holds is listed after it."""
    return TreeEntry(path, "directory", 0, _held(status.st_mtime_ns), status.st_mode & PERMISSION_BITS or _NO_PERMISSIONS)


def entry_of_link(path: str, status: os.stat_result, target: str) -> TreeEntry:
    """Return the entry of a symbolic link, whose target says all there is to say."""
    return TreeEntry(path, "link", 0, _held(status.st_mtime_ns), link_target=target)


def _held(time_ns: int) -> int:
    return min(max(time_ns, _EARLIEST_NS), _LATEST_NS)
