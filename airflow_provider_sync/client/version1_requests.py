"""The requests of version 1: one method for each endpoint."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from airflow_provider_sync.client.body import Body
from airflow_provider_sync.client.endpoint_calls import EndpointCalls
from airflow_provider_sync.client.version1_answers import FilesAnswer, TableAnswer, announced_time_zone, read_table_hash
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.protocol.v1.file_hashes import Manifest, decode_manifest
from airflow_provider_sync.protocol.v1.requests import UNREADABLE, file_fields, table_fields
from airflow_provider_sync.time_zones import TimeZone

MAX_FILES = 998
"""Most files in one request: existing servers drop all fields after the 1,000th, and the name is one of them."""

_MIN_MANIFEST_BYTES = 16 * 1024 * 1024
_BYTES_PER_FILE = 256
"""Bytes allowed for each path and hash when a manifest may exceed :data:`_MIN_MANIFEST_BYTES`."""


class Version1Requests(EndpointCalls):
    """The part of a client that speaks version 1.

    :ivar source_time_zone: the one announced with the last table or hash; only servers of this package send it
    """

    source_time_zone: TimeZone | None

    def get_table_hash(self, name: str) -> str:
        """Ask for the hash of a table: 40 hex digits, ``--EMPTY--``, or the result of a custom hasher of the server.

        :param name: the name under which the server offers the table
        :raises ServerError: for a name that it does not offer, and for a table that it cannot hash (500)
        """
        return self._transport.post("/getTableHash", table_fields(name), self._read_hash, subject=self._table(name))

    def _read_hash(self, body: Body) -> str:
        self.source_time_zone = announced_time_zone(body)
        return read_table_hash(body)

    def get_table(self, name: str, hash: str | None = None) -> TableAnswer | None:  # noqa: A002  # the protocol's own word
        """Ask for the rows of a table.

        Once the answer has begun, the request is not repeated: iterating over a body that is cut raises.

        :param name: the name under which the server offers the table
        :param hash: the hash of the client's rows, for an answer without rows if the server's hash is equal
        :return: the rows, to be read within a ``with`` block; ``None`` if the server's hash is ``hash``
        :raises ServerError: for a name that it does not offer; an existing server that cannot hash answers 500 when ``hash`` is
            given, and sends the table when it is not
        """
        read = partial(self._read_table, name=name)
        expect = (200,) if not hash else (200, 304)
        return self._transport.post("/getTable", table_fields(name, hash or None), read, subject=self._table(name), expect=expect)

    def _read_table(self, body: Body, *, name: str) -> TableAnswer | None:
        self.source_time_zone = announced_time_zone(body)
        if body.response.status_code == 304:
            body.beginning()  # the body is empty, but only after reading it can the connection be reused
            return None
        return TableAnswer(body, name, limits=self.limits)

    def get_file_hashes(self, name: str) -> dict[str, str]:
        """Ask for the manifest of a directory: the hash of each file by its path, ``""`` where the server does not hash.

        :param name: the name under which the server offers the directory
        :raises ServerError: for a name that it does not offer
        """
        return self._manifest(name, file_fields(name, ())).hashes

    def get_manifest(self, name: str) -> Manifest:
        """Request the manifest of a directory with the names of unreadable files, if the server supports that.

        :param name: the name under which the server offers the directory
        :raises ServerError: for a name that it does not offer; an existing server that cannot read a file answers 500
        """
        return self._manifest(name, [*file_fields(name, ()), UNREADABLE])

    def _manifest(self, name: str, fields: Sequence[tuple[str, str]]) -> Manifest:
        read = partial(_read_manifest, max_files=self.limits.max_files)
        return self._transport.post("/getFileHashes", fields, read, subject=self._directory(name), accept_encoding="gzip")

    def get_files(self, name: str, paths: Sequence[str], *, repeat: bool = True) -> FilesAnswer:
        """Ask for the content of files.

        :param name: the name under which the server offers the directory
        :param paths: at least one and at most :data:`MAX_FILES` paths of its manifest
        :param repeat: repeat a failed request up to ``retries`` times; false for a part of a request that was repeated already
        :return: the files in that order, to be read within a ``with`` block
        :raises ServerError: for a name that it does not offer, and for a file that is no longer there (500)
        """
        if not 0 < len(paths) <= MAX_FILES:
            raise ConfigurationError(f"{len(paths)} files cannot be asked for in one request. Ask for 1 to {MAX_FILES}.")
        read = partial(FilesAnswer, name=name, paths=paths, limits=self.limits)
        return self._transport.post("/getFiles", file_fields(name, paths), read, subject=self._directory(name), repeat=repeat)


def _read_manifest(body: Body, *, max_files: int) -> Manifest:
    text = body.json(limit=max(_MIN_MANIFEST_BYTES, max_files * _BYTES_PER_FILE), option="limits.max_files")
    return decode_manifest(text, max_files=max_files, option="limits.max_files")
