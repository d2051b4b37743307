"""Keep cached digests valid over an atomic sync, which gives files a second name and so a new version."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from airflow_provider_sync.files.local.entries import RacyTimes, entry_of_file, is_same_content
from airflow_provider_sync.files.local.open_directories import OpenDirectories, refuse
from airflow_provider_sync.files.local.open_flags import ROOT
from airflow_provider_sync.files.paths import readable_name
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry

if TYPE_CHECKING:
    from airflow_provider_sync.files.digest_cache import CachedRoot

_BATCH = 500


class CarriedDigests:
    """What the cache knows about a tree before and after an atomic sync; a context manager.

    :param digests: of the tree; ``None`` if there is no cache
    """

    def __init__(self, digests: CachedRoot | None) -> None:
        self._digests = digests
        self._batch: list[TreeEntry] = []
        self._known = SpooledList(TreeEntry)

    def note(self, path: str, status: os.stat_result) -> None:
        """Note a file before it gets a second name, if its digest is known. To be called in the order of paths."""
        # Names that are not UTF-8 are never synced, so no digest of them is cached.
        if self._digests is not None and (path.isascii() or path == readable_name(path)):
            self._batch.append(entry_of_file(path, status, RacyTimes.now()))
            if len(self._batch) == _BATCH:
                self._look_up()

    def _look_up(self) -> None:
        if self._digests is not None:
            self._known.extend(entry for entry in self._digests.known(self._batch) if entry.digest is not None)
        self._batch = []

    def record(self, root: Path) -> None:
        """Record the digests of the files that still exist, once each has one name again.

        :param root: of the tree
        :raises OSError: when it cannot be opened
        """
        self._look_up()
        if self._digests is None or not len(self._known):
            return
        descriptor = os.open(root, ROOT)
        directories = OpenDirectories(descriptor, refuse, durable=False)
        try:
            self._digests.record(self._unchanged(directories))
        finally:
            directories.close()
            os.close(descriptor)

    def _unchanged(self, directories: OpenDirectories) -> Iterator[TreeEntry]:
        racy_times = RacyTimes.now()
        for known in self._known:
            above, _, name = known.path.rpartition("/")
            with suppress(OSError), directories.using(above) as directory:  # it was removed, or replaced by something else
                entry = entry_of_file(known.path, os.stat(name, dir_fd=directory, follow_symlinks=False), racy_times)
                if is_same_content(entry, known):
                    yield replace(entry, digest=known.digest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._known.close()
