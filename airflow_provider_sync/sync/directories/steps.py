"""Sync one directory in three steps, which may be tasks on different machines: compare, download in batches, delete.

The steps share only small JSON values; each step compares again, so a retry keeps what the failed attempt has done.
:mod:`.pipeline` does the same in one task, with the same code. The steps hold no common lock, so the user must make sure that no
other sync writes to the directory between them.
"""

from __future__ import annotations

from collections.abc import Sequence

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.file_batch import ComparedDirectory, FileBatch
from airflow_provider_sync.sync.directories.version1 import steps as version1
from airflow_provider_sync.sync.directories.version2 import steps as version2
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.time_limit import within_max_seconds

__all__ = ["ComparedDirectory", "FileBatch", "compare_directory", "delete_files", "download_batch"]


@within_max_seconds
def compare_directory(
    client: SyncClient, directory: TargetDirectory, storage: Storage, *, batches: int = 1, cache: DigestCache | None = None
) -> ComparedDirectory:
    """Compare a directory with the source, and divide the files to download into batches.

    :param batches: maximum number of batches; fewer if few files differ
    :param cache: remembers digests of the target's files
    :raises GuardError: if more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, if there is nothing else to do
    """
    pair = DirectoryPair.of(client, directory, storage, cache=cache)
    compare = version1.compare_directory if pair.version() == 1 else version2.compare_directory
    return compare(pair, batches=batches)


@within_max_seconds
def download_batch(
    client: SyncClient,
    directory: TargetDirectory,
    storage: Storage,
    batch: FileBatch,
    *,
    dry_run: bool = False,
    progress: Progress | None = None,
    cache: DigestCache | None = None,
) -> FileBatch:
    """Download the files of a batch that still differ.

    :param dry_run: count the files, and write nothing
    :param cache: remembers digests of the target's files
    :return: the batch, with the results and the costs until now
    :raises GuardError: if more files in the way would be removed, or more bytes received, than the options allow
    :raises FileError: for files that cannot be synced, after all others were, unless they may be skipped
    :raises FileChangedError: if no file was synced because all of them kept changing
    """
    pair = DirectoryPair.of(client, directory, storage, progress=progress, cache=cache)
    download = version1.download_batch if pair.version() == 1 else version2.download_batch
    return download(pair, batch, dry_run=dry_run)


@within_max_seconds
def delete_files(
    client: SyncClient,
    directory: TargetDirectory,
    storage: Storage,
    batches: Sequence[FileBatch],
    *,
    dry_run: bool = False,
    cache: DigestCache | None = None,
) -> DirectoryReport:
    """Delete files that the source lacks, after all downloads.

    :param batches: the results of all downloads
    :param dry_run: report what would be deleted, and delete nothing
    :param cache: remembers digests of the target's files, and the states of both sides
    :return: the report of all steps together
    :raises GuardError: if more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, unless they may be skipped; nothing is deleted then
    """
    pair = DirectoryPair.of(client, directory, storage, cache=cache)
    delete = version1.delete_files if pair.version() == 1 else version2.delete_files
    return delete(pair, batches, dry_run=dry_run)
