"""A directory as one request sees it: its storage, which of its files are offered, and the folder that was asked for."""

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
from airflow_provider_sync.server.sources import Sources

MAX_UNREADABLE = 1_000
"""Most unreadable files of one directory that an answer lists; with more, the answer is an error."""


class LeftOutFiles(dict[str, str]):
    """Why files of a directory cannot be read, by their paths.

    :param location: of the directory, for messages
    """

    def __init__(self, location: str) -> None:
        super().__init__()
        self._location = location

    def add(self, path: str, error: FileError) -> None:
        """Add a file.

        :raises FileError: above :data:`MAX_UNREADABLE`: it is then the directory that cannot be read
        """
        if len(self) == MAX_UNREADABLE:
            raise FileError(f"More than {MAX_UNREADABLE} files in {self._location} cannot be read, {path!r} among them: {error}")
        self[path] = str(error)


@dataclass(frozen=True, slots=True)
class ServedDirectory:
    """One directory, or a folder of it.

    :ivar storage: where its files are, named after the directory
    :ivar location: where they are, which is for the log only
    :ivar path_filter: which files are offered
    :ivar folder: to which all paths are relative, with ``/`` at its end; empty for the whole directory
    :ivar links: what to do with symbolic links
    :ivar may_digest: whether files may be read for their digests
    :ivar cached: the digests that are known of its files, by their paths in the whole directory
    """

    storage: Storage
    location: str
    path_filter: PathFilter
    folder: str
    links: Links
    may_digest: bool
    cached: CachedRoot

    def walk(self, on_unreadable: OnUnreadable, on_link: Callable[[str], None]) -> Iterator[TreeEntry]:
        """Yield everything that is offered, in the order of paths. The paths are those of the whole directory.

        A folder that is not there is an empty one: clients wait for the folder of a day, and guard their files themselves.

        :param on_unreadable: called with a path in the folder that cannot be listed, relative to the folder
        :param on_link: called with each link that is left out
        :raises FileError: when the directory, or the folder, cannot be read
        :raises MissingFileError: when a file, or a link that cannot be followed, is in the place of the folder
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
            elif entry.kind != "directory":
                raise MissingFileError(f"{folder!r} in {self.storage.location} is not a folder. Correct `prefix`.")

    def known(self, entries: Iterator[TreeEntry]) -> Iterator[TreeEntry]:
        """Yield the entries of a walk to its end, with the digests that are known."""
        return self.cached.known(entries, whole=not self.folder) if self.may_digest else entries

    @contextmanager
    def noting_location(self) -> Iterator[None]:
        """Tell the log where the directory lies, for errors of its files inside the block."""
        try:
            yield
        except FileError as error:
            error.add_note(f"{self.storage.location} is {self.location}.")
            raise

    @contextmanager
    def opener(self) -> Iterator[OpenVersion]:
        """Give a function that opens offered files by their paths in the folder; not for several threads at once.

        It raises :class:`MissingFileError` also for a file that is not offered.
        """
        folder, selects = self.folder, self.path_filter.selects

        def open_version(path: str) -> VersionedFile:
            path = folder + path
            if not selects(path):
                raise MissingFileError(
                    f"Cannot read {path!r} in {self.storage.location}: it is excluded by the server's configuration."
                )
            return open_in_directory(path)

        with self.storage.opener(links=self.links, path_filter=self.path_filter) as open_in_directory:
            yield open_version


class ServedDirectories:
    """Opens the directories that a server offers."""

    def __init__(self, config: ServerConfig, sources: Sources) -> None:
        self._config = config
        self._sources = sources

    def open(self, request: ListFiles | DigestFiles | ReadFiles | ChunkFile) -> ServedDirectory:
        """Return the directory that a request is about."""
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
