"""The operator that syncs directories in one task. The operators of the single steps can be imported from here, too."""

from __future__ import annotations

from airflow_provider_sync.operators.file_operator import FileOperator
from airflow_provider_sync.operators.file_steps import FileCompareOperator, FileDeleteOperator, FileDownloadOperator

__all__ = ["FileCompareOperator", "FileDeleteOperator", "FileDownloadOperator", "FileSyncOperator"]


class FileSyncOperator(FileOperator):
    """Make directories equal to those that a sync server offers.

    The result is a list of reports, one for each directory, which are also logged as a table. What no retry can fix
    fails the task at once. Everything here is a template field, and text that is a list or mapping, a number, ``true``
    or ``false`` is read as such.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param directories: a name, a list of names, or a mapping of names to options; names are those that the server offers
    :param path: for a single name, where its files are kept; for a list or mapping, the folder in which each entry
        without a ``path`` of its own gets a folder of its name. A local path, a URL such as
        ``s3://conn_id@bucket/prefix``, or an ``ObjectStoragePath``
    :param sync_conn_id: connection of the server
    :param skip_unchanged: skip the task, and so what follows it, when every directory was up to date
    :param dry_run: report what would change, and write nothing
    :param on_guard: when a guard (``max_deletes``, ``allow_empty_source``) stops the sync, ``fail`` the task, or ``ask`` a person
        whether it may go on
    :param prefix: a folder of the source: only its files are synced, and ``path`` stands for it
    :param hasher: ``md5``, ``none``, or the import path of a class
    :param include: glob patterns of paths to sync; without it, all
    :param exclude: glob patterns of paths to leave alone, on both sides
    :param max_deletes: files that one sync may delete: a number, or a share such as ``50%``
    :param allow_empty_source: whether an empty source may empty the target
    :param checksum: what tells that a file is the same: its digest from the cache (``cached``), its digest read anew
        (``always``), or size and time alone (``never``)
    :param delete: whether to delete what the source lacks
    :param backup: folder or prefix where replaced and deleted files go, by date
    :param backup_days: days after which backups are removed
    :param links: ``skip`` symbolic links of the source, ``keep`` them as links, or ``follow`` them inside the directory
    :param mtime: whether files get the time of modification that they have at the source
    :param permissions: whether files and directories get the permission bits that they have at the source
    :param atomic: whether to exchange the whole tree in one step, so that readers see no mixture
    :param durable: whether a file gets its name only when its content is on the disk
    :param downloads: requests for files at once
    :param skip_unreadable: whether files that cannot be read, sent or written are left out with a warning, rather than an error
    :param files_per_request: at most this many files in one request
    :param bytes_per_request: ask for fewer files at once where they are so large that a request would exceed this
    :param max_seconds: seconds that comparing and downloading one directory may take; without it, what the connection says
    """
