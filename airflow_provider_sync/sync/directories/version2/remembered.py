"""Remember the states of both sides after a complete sync, so that the next one need not compare if nothing changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from heapq import merge

import msgspec

from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.paths import parents
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import path_order
from airflow_provider_sync.sync.directories.version2.plan import Rules


class Remembered(msgspec.Struct, frozen=True):
    """The states of both sides after a sync that left nothing to do.

    :ivar source: state of the source's listing
    :ivar target: state of the target, as :func:`.listings.state_of` returns it
    :ivar files: number of files of the source
    :ivar warnings: warnings of that sync, which hold as long as nothing changes
    """

    source: str
    target: str
    files: int
    warnings: tuple[str, ...] = ()


def state_key(url: str, directory: TargetDirectory, rules: Rules) -> str:
    """Return a key made of the source's URL and all options that decide which differences a sync removes."""
    options = (directory.name, directory.prefix, directory.include, directory.exclude, directory.links, directory.delete)
    return hashlib.sha256(msgspec.json.encode((url, options, msgspec.structs.replace(rules, checksum="cached")))).hexdigest()


def recall(root: CachedRoot, key: str) -> Remembered | None:
    """Return the record of the last complete sync, if there is one."""
    found = root.state(key)
    if found is None:
        return None
    source, remembered = found
    try:
        return msgspec.json.decode(remembered, type=Remembered) if source else None
    except msgspec.DecodeError:
        return None  # of another version


def remember(root: CachedRoot, key: str, remembered: Remembered) -> None:
    """Store the record of this sync."""
    root.record_state(key, remembered.source, msgspec.json.encode(remembered).decode())


def entries_after(
    before: Iterable[TreeEntry], *, deleted: Iterable[TreeEntry], made: Iterable[TreeEntry], written: Iterable[TreeEntry]
) -> Iterator[TreeEntry]:
    """Yield the entries of a target after a sync, computed from the entries before and the changes made, sorted by path.

    The target is not listed again, so that changes by other processes show as a difference in the next sync.

    :param before: entries before the sync, sorted by path, as are the others
    :param deleted: deleted entries
    :param made: created directories
    :param written: written files and links
    """
    changes = merge(
        ((path_order(entry.path), 0, entry) for entry in deleted),
        ((path_order(entry.path), 1, entry) for entry in made),
        ((path_order(entry.path), 2, entry) for entry in written),
    )
    present = iter(before)
    old = next(present, None)
    change = next(changes, None)
    while change is not None:
        key, kind, entry = change
        following = next(changes, None)
        while following is not None and following[0] == key:
            _, kind, entry = following
            following = next(changes, None)
        while old is not None and old.path != entry.path and path_order(old.path) < key:
            yield old
            old = next(present, None)
        if old is not None and old.path == entry.path:
            old = next(present, None)
        if kind:
            yield entry
        change = following
    if old is not None:
        yield old
    yield from present


def with_parents(entries: Iterable[TreeEntry]) -> Iterator[TreeEntry]:
    """Yield entries, each after its parent directories, which a write creates even if the source does not list them.

    :param entries: entries sorted by path
    """
    above: list[str] = []
    for entry in entries:
        wanted = list(reversed([*parents(entry.path)]))
        for depth, path in enumerate(wanted):
            if above[depth : depth + 1] != [path]:
                yield TreeEntry(path, "directory")
                # What stands at this depth belongs to another directory from here on.
                del above[depth:]
                above.append(path)
        yield entry
