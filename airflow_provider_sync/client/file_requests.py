"""The requests of version 2 about directories: one method for each endpoint."""

from __future__ import annotations

from functools import partial

from airflow_provider_sync.client.endpoint_calls import EndpointCalls
from airflow_provider_sync.client.file_streams import (
    ChunksAnswer,
    ContentAnswer,
    FileDigestsAnswer,
    ListingAnswer,
    check_wanted,
)
from airflow_provider_sync.client.transport import message_call
from airflow_provider_sync.protocol.v2.compression import CONTENT_COMPRESSIONS
from airflow_provider_sync.protocol.v2.file_messages import ChunkFile, DigestFiles, ListFiles, ReadFiles


class FileRequests(EndpointCalls):
    """The part of a client that asks for the content of directories by version 2."""

    def list_files(self, request: ListFiles) -> ListingAnswer:
        """Ask for every file, directory and link of a directory (version 2).

        Once the answer has begun, the request is not repeated.

        :return: whether anything changed at once, and the entries to be read within a ``with`` block
        :raises ServerError: for a directory or folder that the server does not offer
        """
        read = partial(ListingAnswer, request=request, limits=self.limits)
        return self._transport.send(message_call("/listFiles", request), read, subject=self._directory(request.directory))

    def digest_files(self, request: DigestFiles) -> FileDigestsAnswer:
        """Ask for the digests of files, which the server reads if necessary (version 2).

        :return: to be read within a ``with`` block
        :raises ServerError: for what the server does not offer
        """
        read = partial(FileDigestsAnswer, request=request, limits=self.limits)
        return self._transport.send(message_call("/digestFiles", request), read, subject=self._directory(request.directory))

    def read_files(self, request: ReadFiles, *, repeat: bool = True) -> ContentAnswer:
        """Ask for the content of files (version 2).

        :param repeat: repeat a failed request up to ``retries`` times; false for a part of a request that was repeated already
        :return: to be read within a ``with`` block
        :raises ServerError: for what the server does not offer
        :raises GuardError: for more bytes than the limits allow, before anything is sent
        """
        check_wanted(request, self.limits)
        read = partial(ContentAnswer, request=request)
        call = message_call("/readFiles", request, compressions=CONTENT_COMPRESSIONS)
        return self._transport.send(call, read, subject=self._directory(request.directory), repeat=repeat)

    def chunk_file(self, request: ChunkFile, *, size: int) -> ChunksAnswer:
        """Ask for the chunks of one large file (version 2).

        :param size: bytes of the file, as listed; many more chunks than it can have are refused
        :return: to be read within a ``with`` block; of the version that the file has now, which need not be the listed one
        :raises ServerError: for what the server does not offer, for a file that is gone, and for one that changes (409), which
            may show only at the end of the answer
        """
        read = partial(ChunksAnswer, request=request, size=size)
        return self._transport.send(message_call("/chunkFile", request), read, subject=self._directory(request.directory))
