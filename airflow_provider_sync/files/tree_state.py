"""The state of a tree: a short text that is equal as long as nothing in it changed."""

from __future__ import annotations

import hashlib

import msgspec

from airflow_provider_sync.files.tree import TreeEntry

_DIGEST_BYTES = 16
_FLUSH_BYTES = 64 * 1024


class TreeState:
    """Digests the entries of one walk, in its order, without reading files.

    Two walks of the same directory have the same state only if every path, kind, size, time, mode, version and link is the same.
    The text is only comparable on the same machine.

    :param times: whether to include the times of files that have a version. The version already identifies the content, and some
        stores do not return the time of an object that they have just stored
    """

    def __init__(self, *, times: bool = True) -> None:
        self._times = times
        self._digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._encoder = msgspec.msgpack.Encoder()
        self._buffer = bytearray()
        self._racy = False

    def add(self, entry: TreeEntry) -> None:
        """Take the next entry."""
        buffer = self._buffer
        mtime_ns = entry.mtime_ns if self._times or not entry.version else 0
        self._encoder.encode_into(
            (entry.path, entry.kind, entry.size, mtime_ns, entry.mode, entry.version, entry.link_target), buffer, -1
        )
        if len(buffer) > _FLUSH_BYTES:
            self._digest.update(buffer)
            buffer.clear()
        if entry.racy:
            self._racy = True

    def result(self) -> str | None:
        """Return the state; ``None`` if a file is racy, so that a later change could leave the state as it is."""
        if self._racy:
            return None
        self._digest.update(self._buffer)
        self._buffer.clear()
        return self._digest.hexdigest()
