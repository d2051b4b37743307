"""The file systems of fsspec: which one serves a URL, and which are object stores with flat keys."""

from __future__ import annotations

from urllib.parse import urlsplit

import fsspec
from fsspec import AbstractFileSystem

from airflow_provider_sync.exceptions import ConfigurationError, TransportError
from airflow_provider_sync.printable import reason

BUCKET_IN_HOST = frozenset({"s3", "s3a", "gs", "gcs"})
"""Protocols whose URLs have the bucket in place of the host."""

FLAT_STORES = BUCKET_IN_HOST | {"abfs", "abfss", "az", "adl", "oci", "oss", "obs", "r2", "tos"}
"""Protocols of object stores with flat keys, where an object is invisible until its upload is complete."""

BACKSLASH_SEPARATES = frozenset({"smb"})
"""Protocols whose libraries read a backslash as the separator of folders."""


def is_local(filesystem: AbstractFileSystem) -> bool:
    """Whether this is fsspec's view of the local disk."""
    return "file" in protocols_of(filesystem)


def filesystem_for(url: str) -> AbstractFileSystem:
    """Return fsspec's file system for a URL; its library finds the credentials.

    :raises ConfigurationError: when there is none
    :raises TransportError: when it connects at once, and its host does not answer
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is not a valid URL: {reason(error)}. Give a path or another URL.") from error
    if parts.scheme in BUCKET_IN_HOST and "@" in parts.netloc:
        bucket = parts.netloc.rpartition("@")[2]
        raise ConfigurationError(
            f"The URL of bucket {bucket!r} names a connection of Airflow before the '@', which only Airflow can look up. "
            f"Run the sync as a task, or write {parts.scheme}://{bucket}… and give the credentials in the environment."
        )
    try:
        filesystem, _ = fsspec.core.url_to_fs(url)
    except ImportError as error:
        install = ". Run: pip install 'airflow-provider-sync[s3]'" if parts.scheme in ("s3", "s3a") else ""
        raise ConfigurationError(f"{parts.scheme}:// needs another package: {error}{install}") from error
    except ValueError as error:
        raise ConfigurationError(
            f"{parts.scheme}:// is not a storage that fsspec knows: {error}. Give a path or another URL."
        ) from error
    except (AttributeError, TypeError) as error:
        # Some lack a required argument, such as reference:// and dir://.
        raise ConfigurationError(
            f"{parts.scheme}:// needs settings that a URL cannot give: {reason(error)}. Give a path or another URL."
        ) from error
    except OSError as error:
        # Some connect at once, such as ftp:// and sftp://.
        raise TransportError(
            f"No answer from {parts.scheme}://{parts.hostname or ''}: {reason(error)}. Check the URL, and that its host can be"
            " reached."
        ) from error
    return filesystem


def protocols_of(filesystem: AbstractFileSystem) -> tuple[str, ...]:
    """Return the URL schemes of this file system, such as ``s3`` and ``s3a``."""
    protocol = filesystem.protocol
    return (protocol,) if isinstance(protocol, str) else tuple(protocol)
