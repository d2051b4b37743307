"""Request a digest of a table or directory of the source, so that a watcher can detect changes.

Only the source is asked. :mod:`.tables.change_check` and :mod:`.directories.pipeline` compare it with a target.
"""

from __future__ import annotations

import hashlib
import time
from typing import ClassVar

import msgspec

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.files import PathFilter
from airflow_provider_sync.protocol.v2.messages import ALL_COLUMNS, ONE_SEGMENT, DescribeTable, RequestedSlice
from airflow_provider_sync.sync.attempts import repeated
from airflow_provider_sync.sync.directories.directory_pair import lists_files
from airflow_provider_sync.sync.directories.version1.source_files import SourceFiles
from airflow_provider_sync.sync.directories.version2.source_directory import SourceDirectory

YOUNG_SECONDS = (0.15, 0.5, 2.0)
"""Pauses, in seconds, before a directory is listed again because one of its files was changed a moment ago."""


class WatchedTable(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="table"):
    """A table, or a slice of one.

    :ivar table_slice: the slice; version 1 of the protocol ignores its columns and window
    """

    kind: ClassVar[str] = "table"
    table_slice: RequestedSlice

    @property
    def name(self) -> str:
        """The name under which the server offers the table."""
        return self.table_slice.name


class WatchedDirectory(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="directory"):
    """A directory, or those of its files that ``prefix`` and the patterns select."""

    kind: ClassVar[str] = "directory"
    name: str
    prefix: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


Watched = WatchedTable | WatchedDirectory


def source_digest(client: SyncClient, watched: Watched, *, known: str | None = None) -> str:
    """Request the digest of a table or directory from the source: an opaque text that changes when the content changes.

    A table costs the source a scan. For a directory, version 2 lists the files without reading them, and version 1 hashes them.
    If nothing changed since ``known``, version 2 sends a single line, and otherwise the listing.

    :param known: the digest that was returned last
    :raises FileError: if a version 1 source does not hash the files of the directory, so that changes cannot be detected
    :raises SyncError: if the source does not answer, or answers with an error
    """
    if isinstance(watched, WatchedDirectory):
        return _tree_digest(client, watched, known) if lists_files(client) else _directory_digest(client, watched)
    if client.protocol_for() == 1:
        return client.get_table_hash(watched.name)
    return repeated(client, lambda: _table_digest(client, watched.table_slice))


def _table_digest(client: SyncClient, requested_slice: RequestedSlice) -> str:
    # Trailing zeros are part of the digest, since a target may keep them.
    requested_slice = msgspec.structs.replace(requested_slice, trailing_zeros=ALL_COLUMNS)
    with client.describe_table(DescribeTable(table_slice=requested_slice, partitioning=ONE_SEGMENT)) as answer:
        described = answer.described
        rows = total = 0
        for segments in answer:
            rows += sum(segments.counts)
            total += sum(segments.sums)
    return _sha256([described.columns, described.key, rows, total % 2**64])


def _tree_digest(client: SyncClient, watched: WatchedDirectory, known: str | None) -> str:
    """Digest names, sizes and times of the watched files.

    The result begins with the directory's state token, from which the server can tell next time that nothing changed. The server
    sends no token while a file is so young that another change might leave its times as they are. That ends within
    :data:`YOUNG_SECONDS` unless a file is written continuously; then the digest changes once more when a token is available.
    """
    for pause in (*YOUNG_SECONDS, None):
        found = repeated(client, lambda: _listed_digest(client, watched, known))
        if pause is None or not found.startswith("."):
            break
        time.sleep(pause)
    return found


def _listed_digest(client: SyncClient, watched: WatchedDirectory, known: str | None) -> str:
    known_state, _, known_digest = (known or "").rpartition(".")
    selection = PathFilter(watched.include, watched.exclude)
    digest = hashlib.sha256()
    with SourceDirectory(client, watched.name, watched.prefix).list_files(state=known_state or None) as answer:
        for entries in answer:
            for entry in entries:
                if entry.kind == "file" and selection.selects(entry.path):
                    digest.update(msgspec.json.encode((entry.path, entry.size, entry.mtime_ns)))
        if known is not None and (answer.unchanged or (known_state and digest.hexdigest() == known_digest)):
            return known
        return f"{answer.state or ''}.{digest.hexdigest()}"


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
