"""A directory for one request: its storage, the files that it offers, and the requested folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from airflow_provider_sync.config import ServerConfig
from airflow_provider_sync.exceptions import FileError, MissingFileError
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.hashers import NoneHasher, load_hasher
from airflow_provider_sync.files.patterns import PathFilter
from airflow_provider_sync.files.storage import OnUnreadable, OpenVersion, Storage, VersionedFile
from airflow_provider_sync.files.tree import TreeEntry
from airflow_provider_sync.protocol.v2.file_messages import ChunkFile, DigestFiles, Links, ListFiles, ReadFiles
from airflow_provider_sync.server.directories.hidden_obstacles import hidden_obstacles
from airflow_provider_sync.server.sources import Sources

MAX_UNREADABLE = 1_000
"""Maximum number of unreadable files that a response lists; with more, the response is an error."""


class LeftOutFiles(dict[str, str]):
    """The reasons why files of a directory cannot be read, by path.

    :param location: location of the directory, for messages
    """

    def __init__(self, location: str) -> None:
        super().__init__()
        self._location = location

    def add(self, path: str, error: FileError) -> None:
        """Add a file.

        :raises FileError: above :data:`MAX_UNREADABLE`, when the directory counts as unreadable
        """
        if len(self) == MAX_UNREADABLE:
            raise FileError(f"More than {MAX_UNREADABLE} files in {self._location} cannot be read, {path!r} among them: {error}")
        self[path] = str(error)


@dataclass(frozen=True, slots=True)
class ServedDirectory:
    """One directory, or a folder of it.

    :ivar storage: the storage of its files, which errors call by the directory's name
    :ivar location: the storage's location, for the log only
    :ivar path_filter: selects the files that are offered
    :ivar folder: the folder to which all paths are relative, with ``/`` at its end; empty for the whole directory
    :ivar links: how to treat symbolic links
    :ivar may_digest: whether files may be read for their digests
    :ivar cached: the cached digests of its files, by path in the whole directory
    """

    storage: Storage
    location: str
    path_filter: PathFilter
    folder: str
    links: Links
    may_digest: bool
    cached: CachedRoot

    def walk(self, on_unreadable: OnUnreadable, on_link: Callable[[str], None]) -> Iterator[TreeEntry]:
        """Yield all offered entries in the order of paths. The paths are relative to the whole directory.

        A missing folder counts as empty: clients may wait for the folder of a day, and they guard their own files. So does a file
        in its place that is not offered, since nobody may find out by the difference that it exists.

        :param on_unreadable: called with each path that cannot be listed, relative to the folder
        :param on_link: called with each link that is left out
        :raises FileError: if the directory or the folder cannot be read
        :raises MissingFileError: if the folder is an offered file, or a link that cannot be followed
        """
        if not self.folder:
            yield from self.storage.walk(self.path_filter, links=self.links, on_unreadable=on_unreadable, on_link=on_link)
            return

        def leave_out(path: str, error: FileError) -> None:
            if not path.startswith(self.folder) or path == self.folder:
                raise error
            on_unreadable(path.removeprefix(self.folder), error)

        folder = self.folder[:-1]
        for entry in self.storage.walk(
            self.path_filter.below(folder), links=self.links, on_unreadable=leave_out, on_link=on_link
        ):
            if entry.path != folder:
                yield entry
            elif entry.kind != "directory" and self.path_filter.selects(folder):
                raise MissingFileError(f"{folder!r} in {self.storage.location} is not a folder. Correct `prefix`.")

    def known(self, entries: Iterator[TreeEntry]) -> Iterator[TreeEntry]:
        """Yield all entries of a walk, with their cached digests."""
        return self.cached.known(entries, whole=not self.folder) if self.may_digest else entries

    @contextmanager
    def noting_location(self) -> Iterator[None]:
        """Add the directory's location, for the log, to errors of its files inside the block."""
        try:
            yield
        except FileError as error:
            error.add_note(f"{self.storage.location} is {self.location}.")
            raise

    @contextmanager
    def opener(self) -> Iterator[OpenVersion]:
        """Yield a function that opens offered files by their paths in the folder; not thread-safe.

        It raises :class:`MissingFileError` also for a file that is not offered.
        """
        folder, selects = self.folder, self.path_filter.selects

        def open_version(path: str) -> VersionedFile:
            path = folder + path
            if not selects(path):
                raise MissingFileError(
                    f"Cannot read {path!r} in {self.storage.location}: it is excluded by the server's configuration."
                )
            with hidden_obstacles(path, self.path_filter, self.storage.location):
                return open_in_directory(path)

        with self.storage.opener(links=self.links, path_filter=self.path_filter) as open_in_directory:
            yield open_version


class ServedDirectories:
    """Opens the directories that a server offers."""

    def __init__(self, config: ServerConfig, sources: Sources) -> None:
        self._config = config
        self._sources = sources

    def open(self, request: ListFiles | DigestFiles | ReadFiles | ChunkFile) -> ServedDirectory:
        """Return the directory of a request."""
        directory = self._config.directories[request.directory]
        storage = self._sources.storage(directory)
        return ServedDirectory(
            storage=storage.named(repr(request.directory)),
            location=storage.location,
            path_filter=PathFilter(directory.include, directory.exclude),
            folder=f"{request.folder}/" if request.folder else "",
            links=request.links,
            may_digest=not isinstance(load_hasher(directory.hasher or self._config.default_file_hasher), NoneHasher),
            cached=self._sources.cached(directory, storage.location, links=request.links),
        )
