"""One directory in three steps that may be tasks on different machines: compare, download in batches, delete.

Between the steps there are only small values that JSON has, so that a retry finds what the failed attempt has done. The steps do
what :mod:`.pipeline` does in one go, with the same code. They hold no common lock: no other sync may write to the directory
meanwhile.
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
    """Compare a directory with the source, and cut what has to be downloaded into batches.

    :param batches: most batches; there are fewer where few files differ
    :param cache: remembers digests of the target's files
    :raises GuardError: when more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, where there is nothing else to do
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

    :param dry_run: count them, and write nothing
    :param cache: remembers digests of the target's files
    :return: the batch, with what was done and what it cost until now
    :raises GuardError: when more files would give way, or more bytes arrive, than the options allow
    :raises FileError: for files that cannot be synced, after all others were, unless they may be skipped
    :raises FileChangedError: when nothing came but files that never stand still
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
    """Delete what the source lacks, after everything was downloaded.

    :param batches: everything that the downloads returned
    :param dry_run: report what would be deleted
    :param cache: remembers digests of the target's files, and the states of both sides
    :return: what all steps did together
    :raises GuardError: when more files would be deleted than the options allow
    :raises FileError: for files that cannot be synced, unless they may be skipped; nothing is deleted then
    """
    pair = DirectoryPair.of(client, directory, storage, cache=cache)
    delete = version1.delete_files if pair.version() == 1 else version2.delete_files
    return delete(pair, batches, dry_run=dry_run)
