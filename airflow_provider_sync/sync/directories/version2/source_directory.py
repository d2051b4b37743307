"""The version 2 requests about a directory of the source."""

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
    """One directory of the server, or one of its folders; paths are relative to that folder.

    Each response is a context manager and is read within a ``with`` block.

    :ivar client: the client that sends the requests
    :ivar name: name of the directory
    :ivar folder: the folder; ``None`` for the root
    :ivar links: what the server does with symbolic links
    """

    client: SyncClient
    name: str
    folder: str | None = None
    links: Links = "skip"

    def list_files(self, *, state: str | None = None) -> ListingAnswer:
        """Request all files, directories and links; see :meth:`.FileRequests.list_files`.

        :param state: the source's last known state; if it is unchanged, there are no entries
        """
        return self.client.list_files(ListFiles(directory=self.name, folder=self.folder, links=self.links, state=state))

    def digest_files(self, paths: Iterable[str], *, always: bool = False) -> FileDigestsAnswer:
        """Request the digests of files; see :meth:`.FileRequests.digest_files`.

        :param always: whether the server must read every file, ignoring its cache
        """
        request = DigestFiles(directory=self.name, folder=self.folder, links=self.links, paths=tuple(paths), always=always)
        return self.client.digest_files(request)

    def read_files(self, files: Iterable[RequestedFile]) -> ContentAnswer:
        """Request the content of files; see :meth:`.FileRequests.read_files`."""
        return self.client.read_files(ReadFiles(directory=self.name, folder=self.folder, links=self.links, files=tuple(files)))

    def chunk_file(self, entry: FileEntry) -> ChunksAnswer:
        """Request the chunks of a large file; see :meth:`.FileRequests.chunk_file`."""
        request = ChunkFile(directory=self.name, folder=self.folder, links=self.links, path=entry.path)
        return self.client.chunk_file(request, size=entry.size)
