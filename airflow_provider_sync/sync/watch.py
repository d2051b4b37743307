"""The digest of a whole table or directory of the source, by which a watcher notices changes.

Only the source is asked; whether a target differs from it is found out in :mod:`.tables.pipeline` and
:mod:`.directories.pipeline`.
"""

from __future__ import annotations

import hashlib
from typing import ClassVar

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import PathFilter
from airflow_provider_sync.protocol.v2.messages import ALL_COLUMNS, ONE_SEGMENT, DescribeTable, RequestedSlice
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.directories.version1.source_files import SourceFiles


class WatchedTable(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """A table, or a slice of one.

    :ivar table_slice: its columns and window are used by version 2 of the protocol only
    """

    kind: ClassVar[str] = "table"
    table_slice: RequestedSlice

    @property
    def name(self) -> str:
        """What the server calls it."""
        return self.table_slice.name


class WatchedDirectory(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="directory"):
    """A directory, or the files below its folder ``prefix`` that the patterns select."""

    kind: ClassVar[str] = "directory"
    name: str
    prefix: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


Watched = WatchedTable | WatchedDirectory


def source_digest(client: SyncClient, watched: Watched) -> str:
    """Ask the source for the digest of a table or directory: an opaque text that changes when the content changes.

    It costs the source one scan of the table, or of the directory's files. Little is sent, except for the manifest of a
    directory.

    :raises FileError: for a directory whose files the source does not hash, so that changes cannot be noticed
    :raises SyncError: if the source does not answer, or answers with an error
    """
    if isinstance(watched, WatchedDirectory):
        return _directory_digest(client, watched)
    if client.protocol_for() == 1:
        return client.get_table_hash(watched.name)
    return repeated(client, lambda: _table_digest(client, watched.table_slice))


def _table_digest(client: SyncClient, requested_slice: RequestedSlice) -> str:
    # Trailing zeros count: a target may keep them.
    requested_slice = msgspec.structs.replace(requested_slice, trailing_zeros=ALL_COLUMNS)
    with client.describe_table(DescribeTable(table_slice=requested_slice, partitioning=ONE_SEGMENT)) as answer:
        described = answer.described
        rows = total = 0
        for segments in answer:
            rows += sum(segments.counts)
            total += sum(segments.sums)
    return _sha256([described.columns, described.key, rows, total % 2**64])


def _directory_digest(client: SyncClient, watched: WatchedDirectory) -> str:
    manifest = SourceFiles(client, watched.name, watched.prefix, PathFilter(watched.include, watched.exclude)).manifest()
    if not all(manifest.values()):
        raise FileError(
            f"The source sends no digests for directory {watched.name!r}, so that no change can be seen."
            " Set hasher: md5 for it on the server."
        )
    return _sha256(sorted(manifest.items()))


def _sha256(content: object) -> str:
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()
