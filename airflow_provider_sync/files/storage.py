"""The contract of a storage of files.

The implementations are in :mod:`.local.local_storage` and :mod:`.objects.object_storage`; :mod:`.storage_of_path` chooses one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self

from airflow_provider_sync.exceptions import FileChangedError, FileError
from airflow_provider_sync.files.file_errors import file_error
from airflow_provider_sync.files.patterns import EVERYTHING, PathFilter
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_writer import Backup, MayReplace, OnFailure, TreeWriter
from airflow_provider_sync.protocol.v2.file_messages import Links

if TYPE_CHECKING:
    from airflow_provider_sync.files.digest_cache import CachedRoot

BLOCK_BYTES = 256 * 1024

RESUMABLE_SECONDS = 86_400.0
"""Seconds for which an unfinished download is kept for a sync that resumes it."""

OnUnreadable = Callable[[str, FileError], None]
"""Called with a path that a scan cannot read, and the reason."""


class FileReader:
    """A file to be sent: exactly ``size`` bytes, or an error before the last of them; a context manager.

    :param file: the content from its start; closed with the reader
    :param path: for messages
    :param location: the root, for messages
    :param size: bytes that the file has now
    :param unchanged: whether the file is unchanged; called after the last byte was read and before it is yielded
    """

    def __init__(self, file: BinaryIO, path: str, location: str, size: int, unchanged: Callable[[], bool]) -> None:
        self.size = size
        self._file = file
        self._path = path
        self._location = location
        self._unchanged = unchanged

    def __iter__(self) -> Iterator[bytes]:
        """Yield the content in blocks of up to 256 KiB.

        :raises FileChangedError: when the file changed while it was read; this is checked before the last block is yielded
        """
        left = self.size
        while left:
            try:
                block = self._file.read(min(left, BLOCK_BYTES))
            except OSError as error:
                raise file_error("read", self._path, self._location, error) from error
            if not block:
                raise self._changed()
            left -= len(block)
            if not left and not self._unchanged():
                raise self._changed()
            yield block

    def _changed(self) -> FileChangedError:
        return FileChangedError(
            f"{self._path!r} in {self._location} changed while it was read. Try again when nobody writes to it."
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()


class VersionedFile:
    """A file that is open for reading, with its entry; a context manager.

    :ivar file: the content from its start, unbuffered; closed at the end of the block
    :ivar entry: the file as it was when it was opened, under the path that was asked for

    :param is_unchanged: whether the file is still the version of ``entry``
    """

    __slots__ = ("entry", "file", "is_unchanged")

    def __init__(self, file: BinaryIO, entry: TreeEntry, is_unchanged: Callable[[], bool]) -> None:
        self.file = file
        self.entry = entry
        self.is_unchanged = is_unchanged

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.file.close()


OpenVersion = Callable[[str], VersionedFile]
"""Opens the file at a path, as :meth:`Storage.open_version` does."""


class Storage(Protocol):
    """A directory on some storage. Its methods may be called from several threads at once.

    Every path is checked by :func:`~.paths.check_name`; none can lead out of the root, not even by symbolic links.

    :ivar location: the root as messages show it, without secrets
    :ivar concurrency: number of parallel reads that pay
    :ivar time_step_ns: resolution of times in nanoseconds, rounded down, if the times themselves do not show it
    :ivar is_remote: whether opening a file costs a round trip to another machine
    """

    location: str
    concurrency: int
    is_remote: bool

    @property
    def time_step_ns(self) -> int:
        """The resolution of times in nanoseconds; see above."""
        ...

    @property
    def keeps_permissions(self) -> bool:
        """Whether files have permissions of their own."""
        ...

    def named(self, name: str) -> Self:
        """Return this storage with ``name`` as its :attr:`location`: all errors call the root so."""
        ...

    def scan(
        self, path_filter: PathFilter = EVERYTHING, *, missing_ok: bool = False, on_unreadable: OnUnreadable | None = None
    ) -> Iterator[TreeEntry]:
        """Yield every regular file that is selected: in the order of paths on a local disk, in no particular order elsewhere.

        An object is yielded also where its path is the folder of others, for which :meth:`walk` has no place.

        Hidden files count; empty directories, symbolic links, special files and temporary files of a sync do not. A file that
        disappears during the walk is left out.

        :param missing_ok: treat a missing root as an empty one: right for a target, never for a source, where an unmounted disk
            would delete everything on the other side
        :param on_unreadable: called with a directory that cannot be read (its path with ``/`` at its end), and with a selected
            name that cannot be sent (see :func:`~.paths.readable_name`), both of which are then left out
        :raises FileError: for a missing root, and for these without ``on_unreadable``
        """
        ...

    def walk(
        self,
        path_filter: PathFilter = EVERYTHING,
        *,
        links: Links = "skip",
        missing_ok: bool = False,
        on_unreadable: OnUnreadable | None = None,
        on_link: Callable[[str], None] | None = None,
    ) -> Iterator[TreeEntry]:
        """Yield every file, directory and link that is selected, sorted by :func:`.path_order`.

        A directory comes before what it holds; object stores have none. Hidden files count; special files and temporary files
        of a sync do not. What disappears during the walk is left out. Memory grows with the largest directory and with the depth.

        :param links: leave symbolic links out; list them as links, if they stay inside the root; or list the files and
            directories that they lead to
        :param missing_ok: treat a missing root as an empty one; see :meth:`scan`
        :param on_unreadable: called as in :meth:`scan`, and with a link that cannot be followed: its target is missing or outside
            the root, or it leads in a circle
        :param on_link: called with each selected link that is left out
        :raises FileError: for a missing root, and for what ``on_unreadable`` would be called with
        """
        ...

    def open_version(self, path: str, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING) -> VersionedFile:
        """Open a file for reading, together with its entry.

        :param links: ``follow`` opens files behind symbolic links, inside the root
        :param path_filter: what it excludes is not found behind links, either
        :raises MissingFileError: when it is not there
        :raises FileError: when it is no regular file, or cannot be read
        """
        ...

    def opener(self, *, links: Links = "skip", path_filter: PathFilter = EVERYTHING) -> AbstractContextManager[OpenVersion]:
        """Yield a function that opens files like :meth:`open_version`, faster if many are in one directory.

        The function is not thread-safe. Files may stay open after the block.
        """
        ...

    def read(self, path: str) -> FileReader:
        """Open a file for sending; see :class:`FileReader`. Raises as :meth:`open_version` does."""
        ...

    def writer(
        self,
        *,
        durable: bool = True,
        may_replace: MayReplace,
        backup: Backup | None = None,
        on_failure: OnFailure | None = None,
    ) -> AbstractContextManager[TreeWriter]:
        """Write many files inside the block, and remove others; see :class:`~.tree_writer.TreeWriter`.

        :param durable: whether to flush content to disk before a file gets its name, and all names at the end
        :param may_replace: tells whether a file in the way may be removed
        :param backup: where to move replaced and removed files; if that is inside the root, the caller must exclude it from
            comparisons: see :meth:`backup_inside`
        :param on_failure: called for each file that a commit could not move to its name; without it, the first error is raised
            after the other files have their names
        """
        ...

    def atomic_copy(self, *, durable: bool = True, digests: CachedRoot | None = None) -> AbstractContextManager[Self]:
        """Give a copy of the directory that is changed inside the block, and at its end takes the directory's place in one step.

        Only inside :meth:`exclusive`. An exception, or the end of the process, leaves the directory as it was. After an exception
        the next sync goes on with unfinished downloads. The copy shares files with the directory, of which its writer takes care.
        All files may have other versions afterwards, so earlier states of the directory are invalid.

        :param durable: wait until the copy is on the disk before it takes the place
        :param digests: cached digests of the directory; recorded again for unchanged files to which copying gives another version
        :raises ConfigurationError: for a storage in which that cannot be done in one step, and why
        :raises FileError: when the directory cannot be copied or replaced
        """
        ...

    def backup_inside(self, folder: str) -> str | None:
        """Return the path of a folder of backups relative to the root, if it is inside.

        :raises ConfigurationError: when it is the root itself, or contains it
        """
        ...

    def is_one_name(self, path: str, other: str) -> bool:
        """Tell whether two names that differ only in case or Unicode composition would be one file here.

        On a local disk this is tried with a temporary file, which is removed. Object stores distinguish all keys.

        :raises FileError: if nothing can be written
        """
        ...

    def count_names(self, path: str) -> int:
        """Return the number of names in a directory, without temporary files of a sync; 0 if the directory does not exist.

        :raises FileError: when it cannot be read
        """
        ...

    def is_mount_point(self, path: str) -> bool:
        """Whether something is mounted on a directory, so that it cannot be removed. Stores of objects have no directories."""
        ...

    def exclusive(self, timeout: float) -> AbstractContextManager[None]:
        """Lock the directory against other syncs inside the block, where the storage has locks.

        :param timeout: seconds to wait
        :raises DirectoryBusyError: when another sync holds the lock all that time
        """
        ...

    def clean(self, older_than: float, *, resumable_older_than: float = RESUMABLE_SECONDS) -> int:
        """Remove temporary files of killed syncs, and return their number.

        :param older_than: minimum age, in seconds since the last write; 0 only inside :meth:`exclusive`
        :param resumable_older_than: minimum age for downloads that the next sync could resume
        """
        ...
