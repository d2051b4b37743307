"""System calls of Linux that Python has no function for.

Each docstring says what happens without the call: on other systems, old kernels, and file systems that do not support it.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
from collections.abc import Callable
from functools import cache
from typing import Any

# Numbers of file systems, from linux/magic.h, on which syncfs waits for the disk.
# Not overlayfs, which loses errors of the layer below, and not FUSE, which does not ask its server to write.
_EXT, _XFS, _BTRFS, _F2FS = 0xEF53, 0x58465342, 0x9123683E, 0xF2F52010
_SYNCED_AS_A_WHOLE = frozenset({_EXT, _XFS, _BTRFS, _F2FS})
# File systems on which a copy may share blocks with its original, or is made by the server. Where that cannot be, as on ext4, to
# copy inside the kernel takes twice the time of reading and writing.
_BCACHEFS, _OCFS2, _ZFS, _NFS = 0xCA451A4E, 0x7461636F, 0x2FC12FC1, 0x6969
_SHARE_BLOCKS = frozenset({_XFS, _BTRFS, _BCACHEFS, _OCFS2, _ZFS, _NFS})
# Older kernels report no errors from syncfs.
_SYNCFS_SINCE = (5, 8)
_RENAME_EXCHANGE = 2
_SYNC_FILE_RANGE_WRITE = 2
# At least the size of struct statfs.
_STATFS_BYTES = 256


@cache
def _function(name: str) -> Callable[..., int] | None:
    """Return a function of the C library; ``None`` where there is none, or Python was built without ``ctypes``."""
    if platform.system() != "Linux":
        return None
    try:
        import ctypes
    except ImportError:
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), name, None)


def _call(name: str, *arguments: Any) -> None:
    """Call a function of the C library.

    :raises OSError: as it says, or ``ENOSYS`` where there is no such function
    """
    function = _function(name)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if function(*arguments) != 0:
        import ctypes

        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def syncs_as_a_whole(descriptor: int) -> bool:
    """Whether :func:`sync_file_system` makes everything durable on the file system of ``descriptor``, and reports errors."""
    return _file_system(descriptor) in _SYNCED_AS_A_WHOLE and _kernel() >= _SYNCFS_SINCE


def shares_blocks(descriptor: int) -> bool:
    """Whether a copy inside the kernel may take no time and no room on the file system of ``descriptor``."""
    return _file_system(descriptor) in _SHARE_BLOCKS


def _file_system(descriptor: int) -> int | None:
    """Return the magic number of the file system; ``None`` if it cannot be determined."""
    status = bytearray(_STATFS_BYTES)
    try:
        import ctypes

        _call("fstatfs", descriptor, (ctypes.c_char * _STATFS_BYTES).from_buffer(status))
    except (ImportError, OSError):
        return None
    # Its first field is a long.
    return int.from_bytes(status[: ctypes.sizeof(ctypes.c_long)], sys.byteorder) & 0xFFFFFFFF


def _kernel() -> tuple[int, ...]:
    return tuple(int(number) for number in platform.release().split("-")[0].split(".")[:2] if number.isdecimal())


def sync_file_system(descriptor: int) -> None:
    """Wait until everything that was written to a file system is on the disk: content, names and directories.

    :param descriptor: of any file on it; errors since it was opened are reported
    :raises OSError: also for a file that another process wrote
    """
    _call("syncfs", descriptor)


def start_writing(descriptor: int, offset: int, length: int) -> None:
    """Ask the kernel to begin writing a range of a file to the disk; do nothing where there is no such call.

    Otherwise the kernel writes nothing for seconds, and a sync of a large file then has to wait for all of it.
    """
    function = _function("sync_file_range")
    if function is not None:
        import ctypes

        # The later sync reports errors.
        function(descriptor, ctypes.c_int64(offset), ctypes.c_int64(length), _SYNC_FILE_RANGE_WRITE)


def exchange(one: str, other: str, *, directory: int) -> None:
    """Exchange two names in a directory atomically.

    :raises OSError: ``EINVAL`` or ``ENOSYS`` where the system or the file system cannot do it
    """
    _call("renameat2", directory, os.fsencode(one), directory, os.fsencode(other), _RENAME_EXCHANGE)
