"""Refuse work that the options or the limits do not allow, before anything is written."""

from __future__ import annotations

from airflow_provider_sync.config import SizeLimits, TargetDirectory
from airflow_provider_sync.exceptions import FileError
from airflow_provider_sync.protocol.too_large import too_large
from airflow_provider_sync.sync.directories.problems import reasons, some_of
from airflow_provider_sync.sync.directories.version2.compare import Work
from airflow_provider_sync.sync.directories.version2.listings import SourceListing, TargetListing
from airflow_provider_sync.sync.guards import check_deletes


def check_work(directory: TargetDirectory, limits: SizeLimits, source: SourceListing, work: Work) -> None:
    """Refuse names that cannot exist at the target, and more bytes than the limits allow.

    :raises FileError: naming the files, unless they may be skipped
    :raises GuardError: naming the limit
    """
    if source.impossible and not directory.skip_unreadable:
        names = some_of(source.impossible, more=source.more_impossible)
        raise FileError(
            f"{names} of directory {directory.name!r} cannot exist at the target, so nothing was written."
            f" {reasons(source.impossible)} To go on without such files, set skip_unreadable."
        )
    check_bytes(directory.name, limits, work)


def check_bytes(name: str, limits: SizeLimits, work: Work) -> None:
    """Refuse more bytes than the limits allow.

    :param name: of the directory
    :raises GuardError: naming the limit
    """
    if work.bytes > limits.max_directory_bytes:
        raise too_large(limits.max_directory_bytes, "limits.max_directory_bytes", what=f"Directory {name!r}")
    if work.largest is not None and work.largest.size > limits.max_file_bytes:
        raise too_large(limits.max_file_bytes, "limits.max_file_bytes", what=f"{work.largest.path!r}")


def check_deletes_of(
    directory: TargetDirectory, source: SourceListing, target: TargetListing, work: Work, *, missing: int = 0, earlier: int = 0
) -> None:
    """Refuse to delete more than the options allow.

    :param missing: files of the source that could not be fetched
    :param earlier: files that earlier steps have deleted
    :raises GuardError: naming the option that allows it
    """
    offered = max(0, source.files - missing)
    deletes = len(work.removed) and len(work.removed) + earlier
    check_deletes(directory, deletes=deletes, present=target.files + earlier, offered=offered, unit="files")
