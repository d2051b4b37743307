"""The contract for writing a tree of files to the target.

Content is written under temporary names. :meth:`TreeWriter.commit` makes it durable and then moves many files to their names at
once. The implementations are in :mod:`.local.writer` and :mod:`.objects.writer`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import msgspec

from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files.file_errors import is_in_use
from airflow_provider_sync.files.paths import parents
from airflow_provider_sync.files.tree import TreeEntry

MayReplace = Callable[[str], bool]
"""Whether a file of the target may go that is in the way: it is where a directory must be, or below a directory where a file or
link must be. Not asked for a file that another file replaces, nor for symbolic links, which always give way."""

OnFailure = Callable[[str, FileError], None]
"""Called with a path that :meth:`TreeWriter.commit` could not give its new content, and the reason."""


class Metadata(msgspec.Struct, frozen=True):
    """The metadata that a written file or directory gets.

    :ivar mtime_ns: modification time in nanoseconds since the epoch; ``None`` for the time of writing
    :ivar mode: permission bits; ``None`` for those of the file that is replaced, or of a new file
    """

    mtime_ns: int | None = None
    mode: int | None = None


@dataclass(frozen=True, slots=True)
class Backup:
    """The destination of replaced and deleted files: ``FOLDER/2026-11-29T081500Z/PATH``, with a folder for each run.

    :ivar folder: relative to the root, or anywhere; a prefix in an object store
    :ivar days: folders of older runs are removed at the end of a sync; ``None`` keeps them all
    """

    folder: str
    days: float | None = None


Take = Callable[[memoryview], object]
"""Takes a block of content, which is valid during the call."""


class NewFile(Protocol):
    """A large file being written; the next commit after :meth:`finish` moves it to its name. Not thread-safe.

    :ivar written: number of bytes written so far; at the start more than 0 if an earlier attempt is resumed
    """

    written: int

    @property
    def shares_blocks(self) -> bool:
        """Whether :meth:`copy_range` may share blocks, and so be cheaper than :meth:`write`."""
        ...

    def read_written(self) -> Iterator[bytes]:
        """Yield what has been written so far, in blocks, for a digest of it."""
        ...

    def digest_written(self) -> bytes | None:
        """Return the BLAKE3 digest of the written bytes; ``None`` if they can be read again."""
        ...

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        ...

    def copy_range(self, from_path: str, offset: int, length: int, take: Take) -> None:
        """Append a stretch of a file of the target.

        :param take: called with every block that was appended, for a digest of it
        :raises FileChangedError: when that file ends before the stretch does
        :raises FileError: when it cannot be read
        """
        ...

    def finish(self) -> None:
        """Mark the file as complete, for the next commit.

        :raises FileError: if it does not have the announced size; it is discarded
        """
        ...

    def discard(self) -> None:
        """Remove everything written, including the part from an earlier attempt."""
        ...

    def keep(self) -> None:
        """Stop, but keep the written part for a later :meth:`TreeWriter.create` with the same key; without a key, discard it."""
        ...


class TreeWriter(Protocol):
    """Writes a tree; a context manager, from :meth:`.storage.Storage.writer`.

    The end of the block commits what is left, makes all names durable and sets what directories get. An exception discards what
    was not committed, but for unfinished files with a ``resume_key``. All methods may be called from several threads at once, and
    all must have returned before the block ends. Every path is checked by :func:`~.paths.check_name`; none leads out of the root.

    Methods raise :class:`~airflow_provider_sync.exceptions.FileError` with the path in its message;
    :func:`~.file_errors.is_about_one_file` of its cause tells whether other files may still succeed.
    """

    def put(self, path: str, data: bytes | memoryview, metadata: Metadata) -> None:
        """Write a small file."""
        ...

    def create(self, path: str, *, size: int, metadata: Metadata, resume_key: str | None = None) -> NewFile:
        """Begin a large file.

        :param size: bytes that it will have
        :param resume_key: identifies the version of the content; with it, a later writer can resume this one's work
        """
        ...

    def copy(self, path: str, from_path: str, metadata: Metadata, *, move: bool = False, version: bytes | None = None) -> None:
        """Write a file with the content that another file of the target has now.

        :param move: the other one is removed afterwards, by :meth:`remove`, so that nothing need be copied if it has no further
            names: until then both are one file. Removing a name gives it another version; :meth:`set_metadata` then returns the
            entry to be remembered
        :param version: the version that the other file must still have; see :class:`~.tree.TreeEntry`
        :raises FileChangedError: if it has another version
        """
        ...

    def make_directory(self, path: str, metadata: Metadata) -> None:
        """Make a directory if there is none. Its metadata is set at the end of the block, when nothing changes it any more."""
        ...

    def make_link(self, path: str, target: str) -> None:
        """Make a symbolic link.

        :raises FileError: for a target outside the root
        """
        ...

    def set_metadata(self, path: str, metadata: Metadata) -> TreeEntry | None:
        """Set times and permissions of an existing file or directory, and return the new entry of a file."""
        ...

    def date_directory(self, path: str, mtime_ns: int) -> None:
        """Set the modification time of a directory, after the last change in it.

        Do nothing if only its owner may set it, or the directory does not exist.
        """
        ...

    def remove(self, path: str) -> None:
        """Remove a file or link; no error if there is none."""
        ...

    def remove_directory(self, path: str) -> bool:
        """Remove a directory if it is empty, and return whether it is gone."""
        ...

    def commit(self) -> list[TreeEntry]:
        """Make everything durable that was put, finished, copied or linked since the last commit, then move it to its names.

        Several threads may commit; each file is returned by one of the calls. Files that fail are reported to the writer's
        ``on_failure``, if they do not concern the others.

        :returns: the files as they are now
        :raises FileError: for a full or broken disk; what has no name yet is discarded
        """
        ...


def remove_emptied(writer: TreeWriter, paths: Iterable[str], *, on_failure: OnFailure | None = None) -> None:
    """Remove the empty parent directories of some paths, except those that the system uses, such as mount points.

    :param on_failure: called with each directory that cannot be removed; without it, the first error is raised
    """
    # Those below first.
    for directory in sorted({above for path in paths for above in parents(path)}, reverse=True):
        try:
            writer.remove_directory(directory)
        except FileError as error:
            if is_in_use(error.__cause__):
                continue
            if on_failure is None:
                raise
            on_failure(directory, error)
