"""The listings of source and target, read in parallel, each in a list that spills to disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Event
from types import TracebackType
from typing import Self

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import NameClashes, PathFilter, Storage
from airflow_provider_sync.files.paths import MAX_COMPONENT_BYTES, can_travel
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_state import TreeState
from airflow_provider_sync.printable import printable
from airflow_provider_sync.protocol.v2.file_messages import FileEntry, Links
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.directories.problems import MAX_KEPT, is_below
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

LARGE_BYTES = 4 * 1024 * 1024
"""Size, in bytes, above which a file is fetched by itself, and in chunks if the target's version is also above it."""

_SHORT = MAX_COMPONENT_BYTES // 4
"""Length of a path, in characters, up to which no component can have too many bytes."""


class Stopped(Exception):
    """Another thread failed, so this one ends its work."""


class _Listing:
    """The entries of one side; a context manager that removes its temporary files at the end.

    :ivar unreadable: paths that could not be listed, with reasons; directories end with ``/``
    """

    def __init__(self) -> None:
        self.unreadable: dict[str, str] = {}

    def is_unknown(self, path: str) -> bool:
        """Tell whether a path may exist although it is not listed."""
        return bool(self.unreadable) and (path in self.unreadable or is_below(f"{path}/", self.unreadable))


class SourceListing(_Listing):
    """The selected files of the source.

    :ivar entries: entries sorted by path
    :ivar directories: the directories among the entries
    :ivar unchanged: whether the source still is in the state given in the request; then there are no entries
    :ivar state: token of the listed state; ``None`` if a later change might leave it as it is
    :ivar links_skipped: number of symbolic links that the source left out
    :ivar impossible: names that the target cannot hold, with reasons
    :ivar more_impossible: number of further such names
    :ivar files: number of files and links
    :ivar files_left_out: number of files and links that patterns do not select
    :ivar knows_directories: whether directories are listed, so that an unlisted directory does not exist
    :ivar clashes: names of either side that some file systems consider equal; complete after the comparison
    """

    def __init__(self) -> None:
        super().__init__()
        self.entries = SpooledList(FileEntry)
        self.directories = SpooledList(FileEntry)
        self.impossible: dict[str, str] = {}
        self.more_impossible = 0
        self.clashes = NameClashes()
        self.unchanged = False
        self.state: str | None = None
        self.links_skipped = 0
        self.files = 0
        self.files_left_out = 0
        self.knows_directories = True

    def read(self, source: SourceDirectory, state: str | None, path_filter: PathFilter, stopped: Event) -> None:
        """Request the listing.

        :param state: see :meth:`.SourceDirectory.list_files`
        :raises Stopped: once ``stopped`` is set
        :raises SyncError: if there is no complete response
        """
        is_nested = False
        selects = None if path_filter.selects_all else path_filter.selects
        append = self.entries.append
        with source.list_files(state=state) as answer:
            self.unchanged = answer.unchanged
            for entries in answer:
                if stopped.is_set():
                    raise Stopped
                for entry in entries:
                    path = entry.path
                    if selects is not None and not selects(path):
                        self.files_left_out += entry.kind != "directory"
                        continue
                    if len(path) > _SHORT and not can_travel(path, self._note_impossible):
                        continue
                    if entry.kind == "directory":
                        if not (selects is None or path_filter.descends(path)):
                            continue  # everything in it is excluded, so the walk of the target does not list it, either
                        self.directories.append(entry)
                    else:
                        self.files += 1
                        is_nested = is_nested or "/" in path
                    append(entry)
            self.state = answer.state
            self.links_skipped = answer.links_skipped
            for path, reason in answer.unreadable.items():
                if path_filter.descends(path[:-1]) if path.endswith("/") else path_filter.selects(path):
                    self.unreadable[path] = printable(reason)
        self.knows_directories = len(self.directories) > 0 or not is_nested

    def _note_impossible(self, path: str, error: FileError) -> None:
        if len(self.impossible) < MAX_KEPT:
            self.impossible[path] = str(error)
        else:
            self.more_impossible += 1

    def close(self) -> None:
        """Remove what is on disk."""
        self.entries.close()
        self.directories.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def list_source(source: SourceDirectory, path_filter: PathFilter, stopped: Event, *, state: str | None = None) -> SourceListing:
    """Request a listing, again if a response is cut off; see :meth:`SourceListing.read`."""

    def read() -> SourceListing:
        listing = SourceListing()
        try:
            listing.read(source, state, path_filter, stopped)
        except BaseException:
            listing.close()
            raise
        return listing

    return repeated(source.client, read)


class TargetListing(_Listing):
    """The selected files of the target.

    :ivar entries: entries sorted by path
    :ivar state: digest of what a sync compares; ``None`` if a later change might leave it as it is
    :ivar files: number of files and links
    :ivar large_sizes: sizes of large files
    """

    def __init__(self) -> None:
        super().__init__()
        self.large_sizes: set[int] = set()
        self.entries = SpooledList(TreeEntry)
        self.state: str | None = None
        self.files = 0

    def walk(self, storage: Storage, path_filter: PathFilter, links: Links, check: Callable[[], None]) -> None:
        """Walk the target; a missing root counts as empty.

        :param check: called regularly; may raise an error to end the walk
        :raises FileError: if the root cannot be read
        """
        state = TreeState(times=False)
        append = self.entries.append
        for number, entry in enumerate(
            storage.walk(path_filter, links=links, missing_ok=True, on_unreadable=self._note_unreadable)
        ):
            if number % 1_000 == 0:
                check()
            append(entry)
            state.add(comparable(entry))
            self.files += entry.kind != "directory"
            if entry.size > LARGE_BYTES:
                self.large_sizes.add(entry.size)
        self.state = None if self.unreadable else state.result()

    def _note_unreadable(self, path: str, error: FileError) -> None:
        self.unreadable[path] = str(error)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.entries.close()


def comparable(entry: TreeEntry) -> TreeEntry:
    """Return an entry with only the fields that a sync compares; times of directories change with their content."""
    if entry.kind == "file":
        return entry
    return TreeEntry(entry.path, entry.kind, link_target=entry.link_target)


def state_of(entries: Iterator[TreeEntry]) -> str | None:
    """Return the state of a target with these entries, sorted by path; see :attr:`TargetListing.state`."""
    state = TreeState(times=False)
    for entry in entries:
        state.add(comparable(entry))
    return state.result()
