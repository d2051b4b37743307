"""Decide what to do with each path by merging two sorted listings; no I/O, and memory is bounded by the depth of the tree.

:mod:`.pipeline` decides on the order of the steps: first new files, then deletions, then directories.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import FileEntry, path_order

Checksum = Literal["cached", "always", "never"]

Action = Literal[
    "same", "added", "changed", "touched", "unsettled", "removed", "make_link", "make_directory", "remove_directory", "left"
]
"""What to do with a path.

``touched``: only modification time or permissions differ. ``unsettled``: only digests can tell whether the files are equal.
``left``: one side could not list the path, so it is left alone. ``changed``: a file replaces a file; a file that replaces
something else is ``added``.
"""

Reason = Literal["", "size", "content", "time", "kind", "new", "gone"]
"""Why something has to be done; empty if nothing has."""

_SECOND = 1_000_000_000
# Steps to which file systems and programs round times down: NTFS and SMB; microseconds; exFAT; ext3. A multiple may be rounded.
_FEWER_DIGITS = (100, 1_000, 10_000_000, _SECOND)
PERMISSIONS = 0o777
"""The mode bits that are synced: not setuid and the like, so that a source cannot grant a file the rights of its owner."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules for what counts as a difference.

    :ivar checksum: ``never``: equal sizes and times are enough; ``always``: all files of equal size must be digested
    :ivar mtime: whether modification times are synced
    :ivar time_step_ns: resolution of times in the target's file system, in nanoseconds; times are rounded down
    :ivar permissions: whether permission bits are synced
    :ivar directories: whether directories are synced themselves, including empty ones; if not, only directories that become empty
        by deletions are removed
    """

    checksum: Checksum = "cached"
    mtime: bool = True
    time_step_ns: int = 1
    permissions: bool = False
    directories: bool = True


class Step(msgspec.Struct, frozen=True, array_like=True):
    """The decision about one path.

    :ivar obstacle: with ``removed``: whether the path is in the way of another path of the source
    """

    action: Action
    source: FileEntry | None = None
    target: TreeEntry | None = None
    reason: Reason = ""
    obstacle: bool = False

    @property
    def path(self) -> str:
        """The path of the step."""
        entry = self.source if self.source is not None else self.target
        return "" if entry is None else entry.path


class _OpenDirectory:
    """A directory that may contain the following entries.

    :ivar entry: the target's entry to remove if the directory need not stay; ``None`` if there is none
    :ivar needed: whether the directory must stay; then its parents must, too
    :ivar emptied: whether something in it is removed; then its parents count as emptied, too
    :ivar replaced: whether the source has something other than a directory in its place, or in that of a parent
    """

    __slots__ = ("emptied", "entry", "needed", "prefix", "replaced")

    def __init__(self, entry: TreeEntry | None, prefix: str, *, needed: bool, replaced: bool) -> None:
        self.entry = entry
        self.prefix = prefix
        self.needed = needed
        self.emptied = False
        self.replaced = replaced


class _OpenDirectories:
    """The directories from the root to the current path, the deepest one last.

    :ivar prefix: common prefix of the paths below the deepest one
    :ivar are_replaced: whether the source has something other than a directory in the place of any of them

    :param are_listed: whether both sides list directories, so that an unlisted directory does not exist
    """

    def __init__(self, *, are_listed: bool) -> None:
        self.prefix = ""
        self.are_replaced = False
        self._are_listed = are_listed
        self._open: list[_OpenDirectory] = []

    def leave(self, path: str) -> Iterator[Step]:
        """Leave the directories that do not contain a path, and yield steps to remove them; pass an empty path at the end."""
        while self._open and not (path and path.startswith(self.prefix)):
            directory = self._open.pop()
            above = self._open[-1] if self._open else None
            self.prefix, self.are_replaced = (above.prefix, above.replaced) if above is not None else ("", False)
            if not directory.needed and directory.entry is not None and (directory.emptied or self._are_listed):
                yield Step("remove_directory", None, directory.entry, "gone")

    def enter(self, path: str, entry: TreeEntry | None = None, *, needed: bool = False, replaced: bool = False) -> None:
        """Open a directory.

        :param entry: the target's entry, if it may have to be removed
        :param needed: whether the directory must stay
        :param replaced: whether the source has something else in its place; then all of it is removed
        """
        self.prefix, self.are_replaced = f"{path}/", replaced or self.are_replaced
        needed = needed or self.are_replaced
        self._open.append(_OpenDirectory(entry, self.prefix, needed=needed, replaced=self.are_replaced))

    def enter_unlisted(self, path: str) -> None:
        """Open the parents of a path that the patterns left out of the listings."""
        start = len(self.prefix)
        while (end := path.find("/", start)) >= 0:
            self.enter(path[:end], TreeEntry(path[:end], "directory"))
            start = end + 1

    def keep_all(self) -> None:
        """Mark all open directories as needed, since something in them is added or stays."""
        for directory in reversed(self._open):
            if directory.needed:
                break
            directory.needed = True

    def note_removed(self) -> None:
        """Mark the open directories as emptied, since something in them is removed."""
        for directory in reversed(self._open):
            if directory.emptied:
                break
            directory.emptied = True


def nothing(_: str) -> bool:
    """Return ``False``: no path is unknown."""
    return False


def plan(
    source: Iterator[FileEntry],
    target: Iterator[TreeEntry],
    rules: Rules,
    *,
    unknown_at_source: Callable[[str], bool] = nothing,
    unknown_at_target: Callable[[str], bool] = nothing,
) -> Iterator[Step]:
    """Yield a step for each path of either side, and a second one if a path changes its kind.

    The removal of a directory comes after the removal of its content. A target file in the place of a directory is ``removed``,
    and so are the files of a target directory in the place of a file; both are marked as obstacles.

    :param source: entries of the source sorted by ``path_order``, each path once
    :param target: entries of the target, likewise
    :param unknown_at_source: tells whether the source could not list a path, so that it may exist
    :param unknown_at_target: tells whether the target could not list a path, so that it may exist
    """
    directories = _OpenDirectories(are_listed=rules.directories)
    for path, entry, present, has_entries_below in _pairs(source, target):
        if not path.startswith(directories.prefix):
            yield from directories.leave(path)
        if not rules.directories:
            directories.enter_unlisted(path)
        if entry is None:
            if present is not None:
                yield from _only_at_target(present, directories, has_entries_below, unknown_at_source(path))
            continue
        directories.keep_all()
        if present is None and unknown_at_target(path):
            yield Step("left", entry)
        elif present is None:
            yield Step(_ADDED[entry.kind], entry, None, "new")
            if has_entries_below and entry.kind != "directory":
                directories.enter(path, needed=True, replaced=True)
        elif entry.kind == present.kind:
            yield _compare(entry, present, rules)
            if entry.kind == "directory":
                directories.enter(path, needed=True)
        elif entry.kind == "directory":
            yield Step("removed", None, present, "kind", obstacle=True)
            yield Step("make_directory", entry, None, "kind")
        else:
            yield Step(_ADDED[entry.kind], entry, present, "kind")
            if present.kind == "directory":
                directories.enter(path, needed=True, replaced=True)
    yield from directories.leave("")


def _only_at_target(
    present: TreeEntry, directories: _OpenDirectories, has_entries_below: bool, is_unknown: bool
) -> Iterator[Step]:
    """Decide about a path that the source did not list.

    :param has_entries_below: whether the source has entries below the path
    :param is_unknown: whether the source may have the path but could not list it
    """
    if is_unknown:
        directories.keep_all()
    if present.kind == "directory":
        directories.enter(present.path, present, needed=is_unknown)
    elif is_unknown:
        yield Step("left", None, present)
    else:
        directories.note_removed()
        yield Step("removed", None, present, "gone", has_entries_below or directories.are_replaced)


def _pairs(
    source: Iterator[FileEntry], target: Iterator[TreeEntry]
) -> Iterator[tuple[str, FileEntry | None, TreeEntry | None, bool]]:
    """Yield each path with the entries of both sides, and whether a side without an entry has entries below the path."""
    theirs, ours = next(source, None), next(target, None)
    while theirs is not None or ours is not None:
        if ours is None or (theirs is not None and theirs.path != ours.path and path_order(theirs.path) < path_order(ours.path)):
            entry, theirs = theirs, next(source, None)
            path = entry.path  # type: ignore[union-attr]  # one of the two is there
            yield path, entry, None, ours is not None and ours.path.startswith(f"{path}/")
        elif theirs is None or theirs.path != ours.path:
            present, ours = ours, next(target, None)
            yield present.path, None, present, theirs is not None and theirs.path.startswith(f"{present.path}/")
        else:
            entry, present, theirs, ours = theirs, ours, next(source, None), next(target, None)
            yield present.path, entry, present, False


_ADDED: dict[str, Action] = {"file": "added", "link": "make_link", "directory": "make_directory"}


def _compare(entry: FileEntry, present: TreeEntry, rules: Rules) -> Step:
    """Decide about a path that has the same kind on both sides."""
    if entry.kind == "link":
        same_link = entry.link_target == present.link_target
        return Step("same" if same_link else "make_link", entry, present, "" if same_link else "content")
    if entry.kind == "directory":
        return _same(entry, present, rules, times=False)
    return compare_files(entry, present, rules)


def compare_files(entry: FileEntry, present: TreeEntry, rules: Rules) -> Step:
    """Decide about a file that exists on both sides."""
    if entry.size != present.size:
        return Step("changed", entry, present, "size")
    if rules.checksum == "always":
        return Step("unsettled", entry, present)
    if entry.digest is not None and present.digest is not None:
        if entry.digest != present.digest:
            return Step("changed", entry, present, "content")
    elif rules.checksum == "never":
        if not _same_time(entry, present, rules):
            return Step("changed", entry, present, "time")
    else:
        return Step("unsettled", entry, present)
    return _same(entry, present, rules)


def settle(step: Step, source: bytes | None, target: bytes | None, rules: Rules) -> Step:
    """Decide about a file once its digests are known.

    :param step: an unsettled step
    :param source: the digest of the source's file; ``None`` if it could not be read
    :param target: the digest of the target's file; ``None`` if it could not be read, so that it has to be replaced
    """
    entry, present = step.source, step.target
    if entry is None or present is None or source is None or source != target:
        return msgspec.structs.replace(step, action="changed", reason="content")
    return _same(msgspec.structs.replace(entry, digest=source), msgspec.structs.replace(present, digest=target), rules)


def _same(entry: FileEntry, present: TreeEntry, rules: Rules, *, times: bool = True) -> Step:
    """Decide about a path with the same content on both sides, whose metadata may differ.

    Storages that keep no times or permissions report 0, which counts as equal to everything.
    """
    if times and rules.mtime and entry.mtime_ns and present.mtime_ns and not _same_time(entry, present, rules):
        return Step("touched", entry, present, "time")
    if rules.permissions and entry.mode and present.mode and (entry.mode ^ present.mode) & PERMISSIONS:
        return Step("touched", entry, present, "time")
    return Step("same", entry, present)


def _same_time(entry: FileEntry, present: TreeEntry, rules: Rules) -> bool:
    """Tell whether two times are equal at the coarser of the two storages' resolutions."""
    one, other = entry.mtime_ns, present.mtime_ns
    if one == other or one // rules.time_step_ns == other // rules.time_step_ns:
        return True
    return any(one // step == other // step and not (one % step and other % step) for step in _FEWER_DIGITS)
