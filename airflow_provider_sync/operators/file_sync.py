"""The operator that syncs directories in one task; it also exports the operators of the single steps."""

from __future__ import annotations

from airflow_provider_sync.operators.file_operator import FileOperator
from airflow_provider_sync.operators.file_steps import FileCompareOperator, FileDeleteOperator, FileDownloadOperator

__all__ = ["FileCompareOperator", "FileDeleteOperator", "FileDownloadOperator", "FileSyncOperator"]


class FileSyncOperator(FileOperator):
    """Make directories equal to those that a sync server offers.

    The result is a list of reports, one for each directory; the task also logs them as a table. An error that a retry cannot fix
    fails the task without retries. All arguments are template fields; text that a template renders as a list, mapping, number,
    ``true`` or ``false`` is converted.

    .. seealso:: The how-to guide "Sync tables and directories with Airflow".

    :param directories: a name, a list of names, or a mapping of names to options; names are those that the server offers
    :param path: target of a single directory; for a list or mapping, the parent folder in which each entry without its own
        ``path`` gets a folder of its name. A local path, a URL such as ``s3://conn_id@bucket/prefix``, or an
        ``ObjectStoragePath``
    :param sync_conn_id: connection of the sync server
    :param skip_unchanged: skip this task, and with it the downstream tasks, if every directory is up to date
    :param dry_run: report what would change, and write nothing
    :param on_guard: when a guard (``max_deletes``, ``allow_empty_source``) stops the sync, ``fail`` the task, or ``ask`` a person
        for approval
    :param prefix: folder of the source to sync, such as ``2026/01``; its content lands directly in ``path``
    :param hasher: ``md5``, ``none``, or the import path of a class
    :param include: glob patterns of the paths to sync; all by default
    :param exclude: glob patterns of paths to ignore, on both sides
    :param max_deletes: maximum number of files that one sync may delete, or a share such as ``50%``
    :param allow_empty_source: whether an empty source may empty the target
    :param checksum: how to decide that two files are equal: by cached digest (``cached``), by a digest computed anew
        (``always``), or by size and modification time alone (``never``)
    :param delete: whether to delete files that the source lacks
    :param backup: folder or prefix to which replaced and deleted files are moved, by date
    :param backup_days: days after which backups are removed
    :param links: ``skip`` symbolic links of the source, ``keep`` them as links, or ``follow`` them inside the directory
    :param mtime: whether to copy modification times from the source
    :param permissions: whether to copy the permission bits of files and directories from the source
    :param atomic: whether to replace the whole tree in one step, so that readers never see a mixture of old and new files
    :param durable: whether to flush a file's content to disk before the file gets its final name
    :param downloads: number of parallel requests for files
    :param skip_unreadable: whether to skip files that cannot be read, sent, written or deleted, with a warning, instead of
        failing
    :param files_per_request: maximum number of files in one request
    :param bytes_per_request: maximum total size, in bytes, of the files in one request
    :param max_seconds: time limit, in seconds, for comparing and downloading one directory; by default, the connection's
    """
