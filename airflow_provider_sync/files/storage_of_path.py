"""Choose the storage of a path or a URL: the local disk, or a store that fsspec knows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files.storage import Storage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem


def open_storage(path: str, filesystem: AbstractFileSystem | None = None) -> Storage:
    """Return the storage at ``path``, which need not exist yet.

    :param path: a local path, ``file://…``, or the URL of any store that fsspec knows, as ``s3://bucket/prefix``
    :param filesystem: the store's own fsspec file system; ``path`` is then a path or URL in it
    :raises ConfigurationError: when the store is unknown, its package is missing, or a connection id stands in the URL
    """
    # What parses DAGs imports this module, and opens no directory: that would take it 25 ms more.
    from airflow_provider_sync.files.local.local_storage import LocalStorage

    if not path:
        raise ConfigurationError("The path of a directory is empty. Give a local path, or a URL such as s3://bucket/prefix.")
    if filesystem is None and "://" not in path:
        return LocalStorage(Path(path).expanduser())

    # fsspec takes 60 ms to import, and local directories do not need it.
    from airflow_provider_sync.files.objects.filesystems import filesystem_for, is_local
    from airflow_provider_sync.files.objects.object_storage import ObjectStorage

    found = filesystem if filesystem is not None else filesystem_for(path)
    if is_local(found):
        return LocalStorage(Path(found._strip_protocol(path)))
    return ObjectStorage(found, path)
