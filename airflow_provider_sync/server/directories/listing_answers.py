"""The endpoints of version 2 that tell what is in a directory: every file, and the digests of some."""

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
"""Entries in one message: about 100 KB with paths of usual length."""

_MESSAGE_REASONS = 100
_MAX_HARD_LINKS = 100_000
"""Most files of several names that are recognised in one listing; any more are listed as files of their own."""

DIGESTED_AT_ONCE = 64
"""Files that one thread digests before their digests are sent."""

_TRIES = 3
"""How often a file is read that changes meanwhile."""


class ListingAnswers:
    """Answers ``/listFiles`` and ``/digestFiles``. No state is kept between answers."""

    def __init__(self, directories: ServedDirectories) -> None:
        self._directories = directories

    def list(self, body: bytes, accept: str, grant: Grant, active: ActiveRequest) -> Response:
        """Answer every file, directory and link, or only that nothing has changed."""
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
        """Answer the digests of some files, which are read unless the cache knows them."""
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
        """Yield the messages of the answer.

        :param state: that the client saw last; if it still holds, that is the whole answer
        """
        if state is None:
            yield from self._entries(self._walk())
        else:
            # Only the end of the walk shows whether anything changed. The entries wait until then, on disk if they are many.
            with SpooledList(TreeEntry) as found:
                found.extend(self._walk())
                if not self._unreadable and self._state.result() == state:
                    yield (Unchanged(),)
                    return
                yield from self._entries(iter(found))
        reasons = list(self._unreadable.items())
        for start in range(0, len(reasons), _MESSAGE_REASONS):
            yield (UnreadableFiles(reasons=dict(reasons[start : start + _MESSAGE_REASONS])),)
        # What cannot be read may change without a trace.
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
    """Yield the messages of a listing; before the first, an error of the whole directory is one that may pass.

    A root that is missing is such an error: after an empty answer, the client would delete everything.
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

    :param active: the request that is answered
    :param always: whether files are read of which the digest is known
    """

    def __init__(self, directory: ServedDirectory, active: ActiveRequest, *, always: bool) -> None:
        self._directory = directory
        self._active = active
        self._always = always

    def groups(self, paths: Sequence[str]) -> Groups:
        """Yield the messages of the answer: none at all if files may not be read for their digests."""
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
        """Return the digest of a file; add the file to ``read`` if it was not known."""
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
