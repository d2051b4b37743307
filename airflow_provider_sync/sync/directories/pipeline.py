"""Sync one directory in one task, by the newest protocol version that both sides support."""

from __future__ import annotations

from airflow_provider_sync.client import SyncClient
from airflow_provider_sync.config import TargetDirectory
from airflow_provider_sync.exceptions import SyncError, SyncFailed, wrap_unexpected_errors
from airflow_provider_sync.files import Storage
from airflow_provider_sync.files.digest_cache import DigestCache
from airflow_provider_sync.report import DirectoryReport
from airflow_provider_sync.sync.directories.directory_pair import DirectoryPair
from airflow_provider_sync.sync.directories.version1.pipeline import DirectorySync as Version1
from airflow_provider_sync.sync.directories.version2.pipeline import DirectorySync as Version2
from airflow_provider_sync.sync.progress import Progress
from airflow_provider_sync.sync.time_limit import LOCK_TIMEOUT, within_max_seconds
from airflow_provider_sync.sync.traffic import Measure


@within_max_seconds
def sync_directory(
    client: SyncClient,
    directory: TargetDirectory,
    storage: Storage,
    *,
    dry_run: bool = False,
    lock_timeout: float = LOCK_TIMEOUT,
    progress: Progress | None = None,
    cache: DigestCache | None = None,
) -> DirectoryReport:
    """Make ``storage`` equal to the directory that the server offers under ``directory.name``.

    :param dry_run: report what would change, and write nothing
    :param lock_timeout: seconds to wait for another sync of the same directory
    :param progress: called with the number of files and bytes that arrived
    :param cache: remembers digests of the target's files, and the states of both sides
    :raises SyncFailed: with the report of the failure; downloaded files stay, and nothing was deleted
    """
    pair = DirectoryPair.of(client, directory, storage, progress=progress, cache=cache)
    measure = Measure(client)
    sync: Version1 | Version2 | None = None
    try:
        with wrap_unexpected_errors():
            sync = _sync_of(pair)
            return sync.run(measure, dry_run, lock_timeout)
    except SyncError as error:
        done = sync.done() if sync is not None else {}
        report = DirectoryReport(name=directory.name, status="failed", error=str(error), **done, **measure.so_far())
        raise SyncFailed.of([error], (report,)) from error


@within_max_seconds
def directory_differs(
    client: SyncClient, directory: TargetDirectory, storage: Storage, *, cache: DigestCache | None = None
) -> bool:
    """Tell whether source and target differ in more than times and permissions; nothing is downloaded.

    With version 1, a source without digests (hasher ``none``) counts as changed if it has any file.
    """
    return _sync_of(DirectoryPair.of(client, directory, storage, cache=cache)).differs()


def _sync_of(pair: DirectoryPair) -> Version1 | Version2:
    return Version1(pair) if pair.version() == 1 else Version2(pair)
