"""What version 2 asks of a directory of the source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.client.file_streams import ChunksAnswer, ContentAnswer, FileDigestsAnswer, ListingAnswer
from airflow_provider_sync.protocol.v2.file_messages import (
    ChunkFile,
    DigestFiles,
    FileEntry,
    Links,
    ListFiles,
    ReadFiles,
    RequestedFile,
)


@dataclass(frozen=True, slots=True)
class SourceDirectory:
    """What a server offers of one directory, or of one of its folders as if that were the root: paths are below it.

    All answers are read within a ``with`` block.

    :ivar client: which asks
    :ivar name: of the directory
    :ivar folder: the folder; ``None`` for the root
    :ivar links: what the server does with symbolic links
    """

    client: SyncClient
    name: str
    folder: str | None = None
    links: Links = "skip"

    def list_files(self, *, state: str | None = None) -> ListingAnswer:
        """Ask for every file, directory and link; see :meth:`.FileRequests.list_files`.

        :param state: that the source had last; if it still has it, there are no entries
        """
        return self.client.list_files(ListFiles(directory=self.name, folder=self.folder, links=self.links, state=state))

    def digest_files(self, paths: Iterable[str], *, always: bool = False) -> FileDigestsAnswer:
        """Ask for the digests of files; see :meth:`.FileRequests.digest_files`.

        :param always: have every file read, whatever the server's cache knows
        """
        request = DigestFiles(directory=self.name, folder=self.folder, links=self.links, paths=tuple(paths), always=always)
        return self.client.digest_files(request)

    def read_files(self, files: Iterable[RequestedFile]) -> ContentAnswer:
        """Ask for the content of files; see :meth:`.FileRequests.read_files`."""
        return self.client.read_files(ReadFiles(directory=self.name, folder=self.folder, links=self.links, files=tuple(files)))

    def chunk_file(self, entry: FileEntry) -> ChunksAnswer:
        """Ask for the chunks of a large file; see :meth:`.FileRequests.chunk_file`."""
        request = ChunkFile(directory=self.name, folder=self.folder, links=self.links, path=entry.path)
        return self.client.chunk_file(request, size=entry.size)
