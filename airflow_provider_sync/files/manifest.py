"""Build manifests, which map paths to digests, and compare them.

Transferring the files that differ belongs to `sync/directories`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property

import msgspec

from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.file_errors import file_error, is_about_one_file
from airflow_provider_sync.files.hashers import FileHasher, NoneHasher
from airflow_provider_sync.files.paths import can_travel, check_name, leads_out, parents
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.storage import OnUnreadable, Storage
from airflow_provider_sync.files.tree import TreeEntry

# Below this size, changing threads at every short call costs more than a second core gains (10,000 files of 4 to
# 64 KiB: 1.7 s in one thread, 2.7 s in two).
_INLINE_BYTES = 128 * 1024
_WAITING_PER_THREAD = 16
_RECORDED = 2_000

_Digested = tuple[str, TreeEntry]


@dataclass(frozen=True)
class Changes:
    """The differences of a target from its source; paths are sorted.

    :ivar added: files that only the source has
    :ivar changed: files whose digests differ, or where one side has none (``""``)
    :ivar removed: files that only the target has
    :ivar unchanged: number of files that are equal
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    unchanged: int = 0

    def __bool__(self) -> bool:
        """Whether anything differs."""
        return bool(self.added or self.changed or self.removed)

    @cached_property
    def obstacles(self) -> frozenset[str]:
        """Removed files in the way of added ones, for :meth:`.Storage.writer`.

        A removed file where a directory must be, or in a directory where a file must be.
        """
        added, removed = set(self.added), set(self.removed)
        # Paths may be deep, so their parents are looked up rather than kept.
        above_added = {parent for path in self.added for parent in parents(path) if parent in removed} if removed else set()
        return frozenset(path for path in self.removed if path in above_added or any(parent in added for parent in parents(path)))


def compare(source: Mapping[str, str], target: Mapping[str, str]) -> Changes:
    """Return the differences of the target from the source."""
    both = source.keys() & target.keys()
    changed = sorted(path for path in both if not source[path] or source[path] != target[path])
    return Changes(
        added=tuple(sorted(source.keys() - both)),
        changed=tuple(changed),
        removed=tuple(sorted(target.keys() - both)),
        unchanged=len(both) - len(changed),
    )


def select_files(
    manifest: Mapping[str, str], path_filter: PathFilter, *, on_unreadable: OnUnreadable | None = None
) -> dict[str, str]:
    """Return the selected files of the other side's manifest, with every name checked.

    :param on_unreadable: called with each invalid file name, which is then left out
    :raises FileError: for a selected name that leads out of the root; without ``on_unreadable``, for any that cannot be a file's;
        see :func:`~.paths.check_name`
    """
    chosen = {path: digest for path, digest in manifest.items() if path_filter.selects(path)}
    for path in list(chosen):
        if on_unreadable is None or leads_out(path):
            check_name(path)
        elif not can_travel(path, on_unreadable):
            del chosen[path]
    return chosen


def build_manifest(
    storage: Storage,
    hasher: FileHasher,
    path_filter: PathFilter = EVERYTHING,
    *,
    missing_ok: bool = False,
    on_file: Callable[[TreeEntry, bool], None] | None = None,
    on_unreadable: OnUnreadable | None = None,
    cached: CachedRoot | None = None,
    read_all: bool = False,
) -> dict[str, str]:
    """Scan a directory and take the digest of each selected file; sorted by path.

    A file that disappears during the scan is left out. A file that changes while it is read gets a digest of mixed content, so it
    counts as changed; its content is checked when it is fetched.

    :param missing_ok: treat a missing root as an empty one; see :meth:`Storage.scan`
    :param on_file: called, in this thread, for each file when its digest is known, and with whether it was read
    :param on_unreadable: called with a file or directory that cannot be read, which is then left out; see :meth:`Storage.scan`
    :param cached: digests that this hasher made of the directory's files; takes new ones
    :param read_all: read the files of which it knows the digest as well
    :raises FileError: when a file or directory cannot be read
    """
    manifest = {}
    entries = storage.scan(path_filter, missing_ok=missing_ok, on_unreadable=on_unreadable)
    if cached is not None and not read_all:
        # A batch contains only some of the files, and object stores list objects in any order.
        whole = not storage.is_remote and path_filter.first is None and path_filter.last is None
        entries = cached.known(entries, whole=whole)
    new: list[TreeEntry] = []
    for entry, digest, read in _digests(storage, hasher, entries, on_unreadable):
        manifest[entry.path] = digest
        if read is not None and cached is not None:
            new.append(read.with_digest(bytes.fromhex(digest)))
            if len(new) == _RECORDED:
                cached.record(new)
                new = []
        if on_file is not None:
            on_file(entry, read is not None)
    if cached is not None:
        cached.record(new)
    return dict(sorted(manifest.items()))


def _digests(
    storage: Storage, hasher: FileHasher, entries: Iterator[TreeEntry], on_unreadable: OnUnreadable | None
) -> Iterator[tuple[TreeEntry, str, TreeEntry | None]]:
    """Yield each file, its digest, and the version of it that was read for that, if it was."""
    if isinstance(hasher, NoneHasher):
        yield from ((entry, "", None) for entry in entries)
        return
    inline = -1 if storage.is_remote else _INLINE_BYTES
    waiting: deque[tuple[TreeEntry, Future[_Digested | None]]] = deque()
    with ThreadPoolExecutor(storage.concurrency, thread_name_prefix="hash") as pool:
        try:
            for entry in entries:
                if entry.digest is not None:
                    yield entry, entry.digest.hex(), None
                elif entry.size > inline:
                    waiting.append((entry, pool.submit(_digest, storage, hasher, entry.path, on_unreadable)))
                elif (digested := _digest(storage, hasher, entry.path, on_unreadable)) is not None:
                    yield entry, *digested
                # A bounded number, so that memory does not grow with the directory.
                if len(waiting) > storage.concurrency * _WAITING_PER_THREAD:
                    yield from _finished(waiting, 1)
            yield from _finished(waiting, len(waiting))
        finally:
            for _, future in waiting:
                future.cancel()


def _finished(
    waiting: deque[tuple[TreeEntry, Future[_Digested | None]]], count: int
) -> Iterator[tuple[TreeEntry, str, TreeEntry]]:
    for _ in range(count):
        entry, future = waiting.popleft()
        if (digested := future.result()) is not None:
            yield entry, *digested


def _digest(storage: Storage, hasher: FileHasher, path: str, on_unreadable: OnUnreadable | None) -> _Digested | None:
    """Return the digest of one file, or nothing when the file is gone, or cannot be read."""
    try:
        with storage.open_version(path) as version:
            digest = hasher.hash(version.file)
            # A digest of mixed content belongs to no version.
            entry = version.entry if version.is_unchanged() else msgspec.structs.replace(version.entry, version=b"")
            return digest, entry
    except MissingFileError:
        return None
    except (OSError, FileError) as error:
        failure = error if isinstance(error, FileError) else file_error("read", path, storage.location, error)
        cause = error.__cause__ if isinstance(error, FileError) else error
    # Too many open files, or a broken disk, are not about this file.
    if on_unreadable is None or not is_about_one_file(cause):
        raise failure from cause
    failure.__cause__ = cause
    on_unreadable(path, failure)
    return None
