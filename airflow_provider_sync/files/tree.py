"""The entries that a walk of a directory yields, in the order of paths.

Paths are sorted by :func:`~airflow_provider_sync.protocol.v2.file_messages.path_order`, so that memory does not grow with the
number of files. How a storage is walked is in :mod:`.local.walk` and :mod:`.objects.walk`.
"""

from __future__ import annotations

import msgspec

from airflow_provider_sync.protocol.v2.file_messages import Kind


class TreeEntry(msgspec.Struct, frozen=True, array_like=True):
    """One file, directory or link below a root.

    :ivar path: relative to the root
    :ivar size: bytes; 0 for directories and links
    :ivar mtime_ns: time of modification in nanoseconds since the epoch; 0 where the storage does not say
    :ivar mode: permission bits
    :ivar version: identifies this version of the file without reading it: on a local disk the times of modification and of the
        inode's change, inode and device; in an object store its ETag or version. Equal versions mean equal content, unless the
        file is racy; empty for directories and links
    :ivar changed_ns: time of the last change, by the clock of the storage: on a local disk the older of its two times; 0 for
        directories, links and objects
    :ivar link_target: target of a link, as stored
    :ivar inode: inode shared by the file's hard links; ``None`` if it has no other names
    :ivar digest: BLAKE3 of the content, if known without reading
    :ivar racy: whether the file changed so shortly before it was listed that another change might keep its version (git's term)
    """

    path: str
    kind: Kind
    size: int = 0
    mtime_ns: int = 0
    mode: int = 0
    version: bytes = b""
    changed_ns: int = 0
    link_target: str | None = None
    inode: tuple[int, int] | None = None
    digest: bytes | None = None
    racy: bool = False

    def with_digest(self, digest: bytes) -> TreeEntry:
        """Return the entry with the digest of its content."""
        return msgspec.structs.replace(self, digest=digest)
