"""Open the local folder or object storage that a path or URL names, with the credentials of an Airflow connection."""

from __future__ import annotations

from os import PathLike, fspath

from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_sync.airflow_support.connection_lookup import find_connection
from airflow_provider_sync.exceptions import ConfigurationError
from airflow_provider_sync.files import Storage, open_storage


def storage_from_path(path: str | PathLike[str] | ObjectStoragePath) -> Storage:
    """Open local disk or object storage.

    :param path: a local path, a URL such as ``s3://conn_id@bucket/prefix``, or an ``ObjectStoragePath``
    :raises ConfigurationError: when there is no such connection, or no provider for that kind of storage is installed
    """
    if not isinstance(path, ObjectStoragePath):
        text = fspath(path)
        # A user with a password is no id of a connection: fsspec reads them, as on the command line.
        if "://" not in text or ":" in text.partition("://")[2].partition("/")[0].rpartition("@")[0]:
            return open_storage(text)
        try:
            path = ObjectStoragePath(text)
        except ValueError:  # Airflow does not know this storage, and fsspec says what is wrong
            return open_storage(text)
    if path.protocol in ("", "file", "local"):
        return open_storage(path.path)
    # Airflow 3.1 has no attribute for the id of the connection.
    used_conn_id: str | None = path.serialize()["conn_id"]
    if used_conn_id is not None:
        # A filesystem whose connection is missing would go on without credentials and fail far from the cause.
        find_connection(used_conn_id)
    try:
        filesystem = path.fs
    except (ValueError, ImportError) as error:
        if used_conn_id is None:
            # Airflow does not know this storage, but fsspec may, with credentials of its own.
            return open_storage(f"{path.protocol}://{path.path}")
        raise ConfigurationError(
            f"No provider for {path.protocol}:// is installed, or not with its file system: {error}."
            " For S3 run: pip install 'airflow-provider-sync[s3]'"
        ) from error
    return open_storage(path.path, filesystem)
