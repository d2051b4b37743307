"""Entries of files for the tests of the cache of digests, and what it knows of them."""

from __future__ import annotations

from msgspec.structs import replace

from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.tree import TreeEntry

DIGEST = bytes(range(32))


def file(path: str, *, version: bytes = b"version", size: int = 7, digest: bytes | None = DIGEST) -> TreeEntry:
    """The entry of a file."""
    return TreeEntry(path, "file", size, 1, 0o640, version, 1, None, (1, 2), digest)


def unread(entry: TreeEntry) -> TreeEntry:
    """The entry as a walk finds it."""
    return replace(entry, digest=None)


def digests(root: CachedRoot, *entries: TreeEntry, whole: bool = False) -> list[bytes | None]:
    """What is known of these entries."""
    return [entry.digest for entry in root.known(map(unread, entries), whole=whole)]
