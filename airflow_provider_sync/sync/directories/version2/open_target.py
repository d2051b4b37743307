"""The target of a sync, opened for writing."""

from __future__ import annotations

from dataclasses import dataclass

from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import CachedRoot
from airflow_provider_sync.files.tree_writer import Metadata, TreeWriter
from airflow_provider_sync.protocol.v2.file_messages import FileEntry
from airflow_provider_sync.sync.directories.outcome import Outcome
from airflow_provider_sync.sync.directories.version2.plan import PERMISSIONS, Rules
from airflow_provider_sync.sync.directories.version2.write_log import WriteLog


@dataclass(frozen=True, slots=True)
class OpenTarget:
    """The objects with which one directory sync writes to its target.

    :ivar storage: the target, from which old versions are read; with ``atomic``, the writer writes to a copy of it
    :ivar root: remembers digests and chunks of the target's files
    :ivar writer: writes the files
    :ivar written: counts written files and bytes
    :ivar outcome: records results and failures
    :ivar rules: decide which metadata files get
    """

    storage: Storage
    root: CachedRoot
    writer: TreeWriter
    written: WriteLog
    outcome: Outcome
    rules: Rules

    def metadata_of(self, entry: FileEntry) -> Metadata:
        """Return the metadata that a file gets: its modification time and permissions, as far as they are synced."""
        return Metadata(
            entry.mtime_ns if self.rules.mtime and entry.mtime_ns and entry.kind == "file" else None,
            entry.mode & PERMISSIONS if self.rules.permissions and entry.mode else None,
        )
