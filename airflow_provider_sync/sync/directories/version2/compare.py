"""Compare source and target: list both in parallel, then decide for each path, and collect the work in lists."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import Event
from types import TracebackType
from typing import Self

from airflow_provider_sync.files import PathFilter, Storage
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import FileEntry, Links, path_order
from airflow_provider_sync.sync.directories.version2.listings import SourceListing, TargetListing, list_source
from airflow_provider_sync.sync.directories.version2.plan import Action, Rules, Step, plan
from airflow_provider_sync.sync.directories.version2.remembered import Remembered
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

MAX_HARD_LINKED = 100_000
"""Maximum number of files with several names that are fetched once; further ones are fetched once for each name."""

Known = Callable[[Iterator[TreeEntry]], Iterator[TreeEntry]]
"""Adds digests that are known without reading the files."""


@contextmanager
def list_both(
    directory: SourceDirectory, storage: Storage, path_filter: PathFilter, remembered: Remembered | None
) -> Iterator[tuple[SourceListing, TargetListing]]:
    """List the source in another thread while the target is walked.

    If both sides are in their remembered states, :attr:`.SourceListing.unchanged` is set, and there are no entries.

    :raises SyncError: if either fails
    """
    stopped = Event()
    links: Links = "keep" if directory.links == "keep" else "skip"
    state = remembered.source if remembered is not None else None
    with ExitStack() as lists:
        target = lists.enter_context(TargetListing())
        with ThreadPoolExecutor(1, thread_name_prefix="sync-listing") as pool:
            listing: Future[SourceListing] = pool.submit(list_source, directory, path_filter, stopped, state=state)
            try:
                target.walk(storage, path_filter, links, lambda: _raise_failure(listing))
                source = lists.enter_context(listing.result())
            except BaseException:
                stopped.set()
                raise
        if source.unchanged and (remembered is None or target.state != remembered.target):
            source = lists.enter_context(list_source(directory, path_filter, stopped))
        yield source, target


def _raise_failure(listing: Future[SourceListing]) -> None:
    """Raise the error of the source's listing, to end the walk of the target."""
    if listing.done():
        listing.result()


class Work:
    """The work of one directory sync; a context manager that removes its temporary files at the end.

    :ivar files: files to fetch: ``added`` and ``changed``, in the order of paths
    :ivar unsettled: files to digest before deciding
    :ivar touched: paths of which only metadata differs
    :ivar removed: files and links that the source lacks
    :ivar links: links to create
    :ivar directories: directories to create, parents first
    :ivar emptied: directories to remove if they are empty, children first
    :ivar obstacles: removed paths that are in the way of others
    :ivar hard_linked: first names of files with several names; see :attr:`.FileEntry.same_as`
    :ivar added: number of new files and links
    :ivar updated: number of replaced files and links
    :ivar touched_files: number of files of which only metadata differs
    :ivar bytes: total size of the files to fetch
    :ivar largest: size of the largest file to fetch
    """

    def __init__(self) -> None:
        def in_order(step: Step) -> bytes:
            return path_order(step.path)

        self.files = SpooledList(Step, order=in_order)
        self.unsettled = SpooledList(Step)
        self.touched = SpooledList(Step, order=in_order)
        self.removed = SpooledList(Step)
        self.links = SpooledList(Step)
        self.directories = SpooledList(Step)
        self.emptied = SpooledList(Step)
        self.obstacles: set[str] = set()
        self.hard_linked: set[str] = set()
        self.added = 0
        self.updated = 0
        self.touched_files = 0
        self.bytes = 0
        self.largest: FileEntry | None = None
        self._lists: dict[Action, SpooledList[Step]] = {
            "added": self.files,
            "changed": self.files,
            "unsettled": self.unsettled,
            "touched": self.touched,
            "removed": self.removed,
            "make_link": self.links,
            "make_directory": self.directories,
            "remove_directory": self.emptied,
        }

    def add(self, steps: Iterable[Step]) -> None:
        """Sort steps into the lists."""
        lists = self._lists
        for step in steps:
            action = step.action
            lists[action].append(step)
            entry = step.source
            if entry is None:
                if step.obstacle:
                    self.obstacles.add(step.path)
            elif action in ("added", "changed"):
                self._count_bytes(entry)
                self.added += action == "added"
                self.updated += action == "changed"
                if entry.same_as is not None and len(self.hard_linked) < MAX_HARD_LINKED:
                    self.hard_linked.add(entry.same_as)
            elif action == "make_link":
                self.added += step.target is None
                self.updated += step.target is not None
            elif action == "touched":
                self.touched_files += entry.kind == "file"

    def _count_bytes(self, entry: FileEntry) -> None:
        self.bytes += entry.size
        if self.largest is None or entry.size > self.largest.size:
            self.largest = entry

    def recount(self, before: Iterable[Step], now: Iterable[Step]) -> None:
        """Replace the listed sizes of files by their current sizes in the counts."""
        self.bytes -= bytes_of(before)
        for step in now:
            if step.source is not None:
                self._count_bytes(step.source)

    @property
    def differs(self) -> bool:
        """Whether anything but times and permissions differs."""
        return any(map(len, (self.files, self.removed, self.links, self.directories)))

    def __bool__(self) -> bool:
        """Whether anything differs, as far as known without digests.

        Directories to remove do not count, since they may contain files that the patterns exclude; see :mod:`.emptied`.
        """
        return self.differs or len(self.touched) > 0

    @property
    def is_possible(self) -> bool:
        """Whether there may be work: something differs, or directories may be empty."""
        return bool(self) or len(self.emptied) > 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for steps in set(self._lists.values()):
            steps.close()


def find_work(
    source: SourceListing,
    target: TargetListing,
    known: Known,
    rules: Rules,
    work: Work,
    *,
    ignored: Collection[Action],
    is_wanted: Callable[[Step], bool] | None = None,
) -> None:
    """Decide for each path what to do.

    :param known: adds known digests of the target
    :param work: collects the steps
    :param ignored: actions to leave out
    :param is_wanted: selects steps; all by default
    """
    steps = plan(
        iter(source.entries),
        known(iter(target.entries)),
        rules,
        unknown_at_source=source.is_unknown,
        unknown_at_target=target.is_unknown,
    )
    clashes = source.clashes

    def wanted() -> Iterator[Step]:
        for step in steps:
            clashes.add(step.path, at_source=step.source is not None)
            if step.action not in ignored and (is_wanted is None or is_wanted(step)):
                yield step

    work.add(wanted())


def bytes_of(steps: Iterable[Step]) -> int:
    """Return the number of bytes to fetch."""
    return sum(step.source.size for step in steps if step.source is not None)
