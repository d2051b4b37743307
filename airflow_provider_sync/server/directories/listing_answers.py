"""The version 2 endpoints that list a directory, and digest some of its files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from starlette.responses import Response

from airflow_provider_sync.exceptions import FileChangedError, FileError, MissingFileError
from airflow_provider_sync.files.file_digests import digest_file
from airflow_provider_sync.files.file_errors import is_about_one_file
from airflow_provider_sync.files.spooled_list import SpooledList
from airflow_provider_sync.files.storage import OpenVersion
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.files.tree_state import TreeState
from airflow_provider_sync.protocol.v2.file_messages import (
    DigestFiles,
    Entries,
    FileDigest,
    FileDigests,
    FileEntry,
    Listed,
    ListFiles,
    Unchanged,
    UnreadableFiles,
)
from airflow_provider_sync.protocol.v2.keep_alives import NO_ENTRIES, NO_FILE_DIGESTS
from airflow_provider_sync.server.access.grants import Grant
from airflow_provider_sync.server.active_requests import ActiveRequest
from airflow_provider_sync.server.directories.file_requests import decode_file_request
from airflow_provider_sync.server.directories.file_streams import Groups, stream_files
from airflow_provider_sync.server.directories.served_directory import LeftOutFiles, ServedDirectories, ServedDirectory
from airflow_provider_sync.server.http_errors import CannotServe
from airflow_provider_sync.server.json_requests import invalid_field

MESSAGE_ENTRIES = 1_000
"""Number of entries in one message: about 100 KB with paths of usual length."""

_MESSAGE_REASONS = 100
_MAX_HARD_LINKS = 100_000
"""Maximum number of files with several names that are recognised in one listing; further names are listed as separate files."""

DIGESTED_AT_ONCE = 64
"""Number of files that one thread digests before their digests are sent."""

_TRIES = 3
"""Maximum number of reads of a file that changes while it is read."""


class ListingAnswers:
    """Answers ``/listFiles`` and ``/digestFiles``. No state is kept between requests."""

    def __init__(self, directories: ServedDirectories) -> None:
        self._directories = directories

    def list(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send all files, directories and links, or only the message that nothing has changed."""
        request = decode_file_request(body, ListFiles, grant.directories)
        directory = self._directories.open(request)
        return stream_files(
            _answered(_Listing(directory, active).groups(request.state), directory),
            accept,
            active,
            directory=request.directory,
            what=f"Listing of directory {request.directory!r}",
            idle=NO_ENTRIES,
        )

    def digest(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Send the digests of some files, which are read unless the cache has their digests."""
        request = decode_file_request(body, DigestFiles, grant.directories)
        directory = self._directories.open(request)
        return stream_files(
            _Digesting(directory, active, always=request.always).groups(request.paths),
            accept,
            active,
            directory=request.directory,
            what=f"Digests of directory {request.directory!r}",
            idle=NO_FILE_DIGESTS,
        )


class _Listing:
    """One walk of a directory.

    :param active: the request that is answered
    """

    def __init__(self, directory: ServedDirectory, active: ActiveRequest) -> None:
        self._directory = directory
        self._active = active
        self._state = TreeState()
        self._unreadable = LeftOutFiles(directory.storage.location)
        self._links_skipped = 0
        self._hard_links: dict[tuple[int, int], str] = {}

    def groups(self, state: str | None) -> Groups:
        """Yield the messages of the response.

        :param state: the state that the client saw last; if it is unchanged, the response has no entries
        """
        if state is None:
            yield from self._entries(self._walk())
        else:
            # Only at the end of the walk is it known whether anything changed. Until then, entries are kept, on disk if many.
            with SpooledList(TreeEntry) as found:
                found.extend(self._walk())
                if not self._unreadable and self._state.result() == state:
                    yield (Unchanged(),)
                    return
                yield from self._entries(iter(found))
        reasons = list(self._unreadable.items())
        for start in range(0, len(reasons), _MESSAGE_REASONS):
            yield (UnreadableFiles(reasons=dict(reasons[start : start + _MESSAGE_REASONS])),)
        # Changes of unreadable files and directories cannot be detected.
        state = None if self._unreadable else self._state.result()
        yield (Listed(state=state, links_skipped=self._links_skipped),)

    def _walk(self) -> Iterator[TreeEntry]:
        add = self._state.add
        for number, entry in enumerate(self._directory.walk(self._unreadable.add, self._skip_link)):
            if number % MESSAGE_ENTRIES == 0:
                self._active.check()
            add(entry)
            yield entry

    def _entries(self, found: Iterator[TreeEntry]) -> Groups:
        start = len(self._directory.folder)
        found = self._directory.known(found)
        while batch := tuple([self._entry(entry, entry.path[start:]) for entry in islice(found, MESSAGE_ENTRIES)]):
            yield (Entries(entries=batch),)

    def _entry(self, entry: TreeEntry, path: str) -> FileEntry:
        same_as = None
        if entry.inode is not None:
            same_as = self._hard_links.get(entry.inode)
            if same_as is None and len(self._hard_links) < _MAX_HARD_LINKS:
                self._hard_links[entry.inode] = path
        return FileEntry(path, entry.kind, entry.size, entry.mtime_ns, entry.mode, entry.digest, entry.link_target, same_as)

    def _skip_link(self, _: str) -> None:
        self._links_skipped += 1


def _answered(groups: Groups, directory: ServedDirectory) -> Groups:
    """Yield the messages of a listing; an error of the whole directory before the first message becomes a transient one.

    A missing root is such an error: after an empty response, the client would delete everything.
    """
    begun = False
    try:
        with directory.noting_location():
            for group in groups:
                begun = True
                yield group
    except FileError as error:
        if begun or error.retryable:
            raise
        if isinstance(error, MissingFileError):
            raise invalid_field("folder", str(error)) from error
        raise CannotServe(str(error)) from error


class _Digesting:
    """The digests of some files.

    :param active: the current request
    :param always: whether to read files even if the cache has their digests
    """

    def __init__(self, directory: ServedDirectory, active: ActiveRequest, *, always: bool) -> None:
        self._directory = directory
        self._active = active
        self._always = always

    def groups(self, paths: Sequence[str]) -> Groups:
        """Yield the messages of the response: none if the configuration forbids reading files for their digests."""
        if not self._directory.may_digest:
            return
        workers = self._directory.storage.concurrency
        waiting: deque[Future[list[FileDigest]]] = deque()
        with self._directory.noting_location(), ThreadPoolExecutor(workers, thread_name_prefix="sync-digest") as pool:
            try:
                for start in range(0, len(paths), DIGESTED_AT_ONCE):
                    waiting.append(pool.submit(self._digests, paths[start : start + DIGESTED_AT_ONCE]))
                    if len(waiting) > 2 * workers:
                        yield (FileDigests(digests=tuple(waiting.popleft().result())),)
                while waiting:
                    yield (FileDigests(digests=tuple(waiting.popleft().result())),)
            finally:
                for future in waiting:
                    future.cancel()

    def _digests(self, paths: Sequence[str]) -> list[FileDigest]:
        cached, folder = self._directory.cached, self._directory.folder
        digest_of = cached.look_up(() if self._always else (folder + path for path in paths))
        read: list[TreeEntry] = []
        try:
            with self._directory.opener() as open_version:
                return [self._digest(path, open_version, digest_of, read) for path in paths]
        finally:
            cached.record(read)

    def _digest(
        self, path: str, open_version: OpenVersion, digest_of: Callable[[TreeEntry], bytes | None], read: list[TreeEntry]
    ) -> FileDigest:
        """Return the digest of a file; if the file had to be read, add it to ``read``."""
        tries = _TRIES
        version = (0, 0)
        while True:
            try:
                with open_version(path) as opened:
                    entry = opened.entry
                    version = (entry.size, entry.mtime_ns)
                    digest = digest_of(entry)
                    if digest is None:
                        digest = digest_file(opened, self._directory.storage.location, check=self._active.check)
                        read.append(entry.with_digest(digest))
                    return FileDigest(digest, entry.size, entry.mtime_ns)
            except MissingFileError:
                return FileDigest(None)
            except FileError as error:
                if isinstance(error, FileChangedError):
                    tries -= 1
                    if tries:
                        continue
                    return FileDigest(None, *version, problem=str(error))
                if not is_about_one_file(error.__cause__):
                    raise
                return FileDigest(None, problem=str(error))
