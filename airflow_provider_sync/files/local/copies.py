"""Copy content between files of a local disk, inside the kernel if possible.

``copy_file_range`` shares the blocks where the file system can (reflinks on btrfs and XFS), and else copies inside the kernel.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_BLOCK_BYTES = 1024 * 1024
_MAX_RANGE_BYTES = 1024 * 1024 * 1024
# Between two file systems, on file systems and kernels without it, and for files that cannot be copied so.
_NOT_POSSIBLE = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF, errno.ETXTBSY)

NO_LINKS = (errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS)
"""Numbers of errors that say that a file cannot have this hard link, but can be copied."""


def copy_stretch(source: int, target: int, offset: int, length: int) -> int:
    """Append up to ``length`` bytes of ``source``, from ``offset``, at the position of ``target``.

    :returns: bytes copied: fewer if the source ends before
    :raises OSError: when either side fails
    """
    copied = 0
    in_kernel: Callable[..., int] | None = getattr(os, "copy_file_range", None)
    while in_kernel is not None and copied < length:
        try:
            done = in_kernel(source, target, min(length - copied, _MAX_RANGE_BYTES), offset + copied)
        except OSError as error:
            if error.errno not in _NOT_POSSIBLE:
                raise
            break
        if not done:
            # The end of the source, or a file system that cannot copy but reports no error; the loop below handles both.
            break
        copied += done
    while copied < length:
        block = os.pread(source, min(_BLOCK_BYTES, length - copied), offset + copied)
        if not block:
            break
        write_all(target, block)
        copied += len(block)
    return copied


def write_all(descriptor: int, data: bytes | memoryview) -> None:
    """Write all of ``data`` at the position of a file.

    :raises OSError: when the disk does not take it
    """
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
